"""GitLab, or what stands before it, gives for one issue what the ledger has for another."""

from typing import Any

import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Start
from surgical_pipeline_tests.integration.stages.stage_run import issue
from surgical_pipeline_tests.ledger_dump import content_of, query

pytestmark = pytest.mark.both_ledgers


def note_of_13(ledger: Ledger) -> dict[str, Any]:
    ((note_id,),) = query(ledger, "SELECT min(note_id) FROM notes WHERE noteable_iid = 13")
    return {"notes": [{"id": note_id, "body": "Whose am I?"}]}


def label_event_of_13(ledger: Ledger) -> dict[str, Any]:
    asked = "SELECT min(event_id) FROM resource_events WHERE noteable_iid = 13 AND event_type = 'label_events'"
    ((event_id,),) = query(ledger, asked)
    return {"id": event_id}


@pytest.mark.parametrize(
    ("path", "dependent", "of_13"),
    [("discussions", "discussions", note_of_13), ("resource_label_events", "label_events", label_event_of_13)],
)
def test_what_the_ledger_has_for_another_issue_fails_its_dependent_alone_and_writes_nothing_of_it(
    sandbox: RunningSandbox, start: Start, ledger: Ledger, path: str, dependent: str, of_13: Any
) -> None:
    """Nothing in the answer says whose it is: only the ledger knows."""
    start("acme/rocket#12+13").up_to_dependents()
    before = content_of(ledger)
    sandbox.control.add_fault(f"*/issues/12/{path}", override=of_13(ledger))
    run = start("acme/rocket#12")
    run.up_to_dependents()
    assert content_of(ledger) == before
    (failure,) = run.outcome(issue(12)).dependent_failures
    assert (failure.code, failure.stage, failure.dependent) == (
        FailureCode.INVALID_PAYLOAD,
        "dependents",
        dependent,
    )
    assert "for #12, and the ledger has it for #13: nothing was written of it" in failure.message
    assert run.recorder.finish_succeeded_with_warnings()
    with ledger.read() as tx:
        result = load_result(tx, run.recorder.run_id)
    assert result is not None
    assert (result.counters.dependents_replaced, result.counters.dependent_failures) == (3, 1)
    assert result.warnings_count == 1
