"""A cache keyed wrongly answers with another entity's dependents: nobody's rows may move or go."""

import json
from typing import Any

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Start
from surgical_pipeline_tests.integration.stages.stage_run import issue, merge_request
from surgical_pipeline_tests.ledger_dump import content_of

pytestmark = pytest.mark.both_ledgers

SCOPE = "acme/rocket#12+13!12+34"
PATHS = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge_requests"}
NAMING = (
    (Dependent.DISCUSSIONS, "discussions"),
    (Dependent.LABEL_EVENTS, "resource_label_events"),
    (Dependent.STATE_EVENTS, "resource_state_events"),
    (Dependent.MILESTONE_EVENTS, "resource_milestone_events"),
    (Dependent.AWARD_EMOJI, "award_emoji"),
)
JSON = {"Content-Type": "application/json"}
PAIRS = ((issue(12), issue(13)), (issue(12), merge_request(12)), (merge_request(34), issue(13)))


def served(sandbox: RunningSandbox, key: EntityKey, name: str) -> list[dict[str, Any]]:
    """The rows that GitLab has of it."""
    rows = {
        "discussions": "discussions",
        "resource_label_events": "label_events",
        "resource_state_events": "state_events",
        "resource_milestone_events": "milestone_events",
        "award_emoji": "awards",
    }
    entity = sandbox.app.state.world.find(4201, key.entity_type.value, key.iid)
    found: list[dict[str, Any]] = getattr(entity, rows[name])
    return found


@pytest.mark.parametrize(("key", "other"), PAIRS, ids=str)
@pytest.mark.parametrize(("dependent", "name"), NAMING, ids=str)
def test_the_dependents_of_another_entity_are_refused_and_nothing_of_them_is_written(
    start: Start,
    sandbox: RunningSandbox,
    ledger: Ledger,
    dependent: Dependent,
    name: str,
    key: EntityKey,
    other: EntityKey,
) -> None:
    sandbox.control.update_issue(13, labels=["bug"], state="closed")
    sandbox.control.update_merge_request(12, labels=["bug"], state="closed")
    for kind, iid in (("issue", 13), ("merge_request", 12)):
        sandbox.control.add_award(iid, kind=kind)  # type: ignore[arg-type]
    run = start(SCOPE)
    run.dependents(run.up_to_ingest(), wanted=tuple(Dependent))
    before = content_of(ledger)
    rows = served(sandbox, other, name)
    if not rows:  # the sample gives no milestone to this one
        rows = [{"id": 987_654, "resource_type": "Issue", "resource_id": 1}]

    sandbox.control.add_fault(
        f"*/{PATHS[key.entity_type]}/{key.iid}/{name}", status=200, headers=JSON, body=json.dumps(rows)
    )
    run = start(SCOPE)
    run.dependents(run.up_to_ingest(), wanted=tuple(Dependent))
    failures = run.outcome(key).dependent_failures
    assert [(one.code, one.dependent) for one in failures] == [(FailureCode.INVALID_PAYLOAD, str(dependent))]
    assert f"where those of {key} in project 4201 were asked for" in failures[0].message
    assert not any(run.outcome(one).dependent_failures for one in tuple(run.scope.keys()) if one != key)
    assert content_of(ledger) == before
