"""Two runs of one issue over real HTTP, in every order of their fetches and writes, while GitLab changes."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import permutations
from typing import TypeVar

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.handover import PreflightResult, Sources
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.stage_run import issue

pytestmark = pytest.mark.both_ledgers

T = TypeVar("T")

ORDERS = sorted({"".join(order) for order in permutations("AABB")})
"""A run's first letter is its fetch, its second its write."""
TITLE = "SELECT title FROM issues WHERE iid = 12"
REMARKS = "SELECT payload->>'body' FROM notes WHERE payload->>'body' LIKE 'remark %'"


class HeldBack(SyncRunRecorder):
    """Its dependents, once fetched, are written when ``go`` is set."""

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        super().__init__(ledger, run_id)
        self.fetched, self.go = threading.Event(), threading.Event()

    async def in_window(self, name: str, work: Callable[[Transaction], T]) -> T:
        if name == "dependents":
            self.fetched.set()
            assert await asyncio.to_thread(self.go.wait, 60)
        return await super().in_window(name, work)


@pytest.mark.parametrize("told", [True, False], ids=["updated_at moves", "updated_at stands still"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_issue_of_the_later_fetch_stands(
    start: Start, rows: Rows, sandbox: RunningSandbox, order: str, told: bool
) -> None:
    runs = {name: start("acme/rocket#12") for name in "AB"}
    fetched: dict[str, tuple[int, PreflightResult]] = {}
    newest = -1
    for step, name in enumerate(order):
        sandbox.control.update_issue(12, title=f"title {step}", bump_updated_at=told)
        if name not in fetched:
            fetched[name] = step, runs[name].preflight()
            continue
        at, preflight = fetched[name]
        runs[name].ingest(preflight)
        assert runs[name].outcome(issue(12)).stale_skipped == (at < newest)
        newest = max(newest, at)
        assert rows(TITLE) == [(f"title {newest}",)]


@pytest.mark.parametrize("broken", ["", "B"], ids=["both whole", "B loses a page"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_notes_of_the_later_whole_fetch_stand_and_deleted_ones_vanish(
    start: Start, rows: Rows, sandbox: RunningSandbox, order: str, broken: str
) -> None:
    first = start("acme/rocket#12")
    sources = first.up_to_ingest()
    runs = {name: start("acme/rocket#12", recorder=HeldBack) for name in "AB"}
    going: dict[str, tuple[int, Future[Sources]]] = {}
    remark = None
    newest = -1
    with ThreadPoolExecutor() as threads:
        for step, name in enumerate(order):
            recorder = runs[name].recorder
            assert isinstance(recorder, HeldBack)
            if remark is not None:
                sandbox.control.delete_note(remark)
            remark = sandbox.control.add_note(12, f"remark {step}").note["id"]
            if name not in going:
                fault = (
                    sandbox.control.add_fault("*/issues/12/discussions", status=500) if name == broken else None
                )
                going[name] = step, threads.submit(runs[name].dependents, sources)
                assert recorder.fetched.wait(60)
                if fault is not None:
                    sandbox.control.clear_faults()
                continue
            at, work = going[name]
            recorder.go.set()
            work.result(60)
            newest = newest if name == broken else max(newest, at)
            assert rows(REMARKS) == ([] if newest < 0 else [(f"remark {newest}",)])
            assert bool(runs[name].outcome(issue(12)).dependent_failures) == (name == broken)


def test_dependents_that_another_run_fetched_later_are_told_and_are_no_warning(
    start: Start, ledger: Ledger
) -> None:
    late, other = start("acme/rocket#12", recorder=HeldBack), start("acme/rocket#12")
    assert isinstance(late.recorder, HeldBack)
    sources = late.up_to_ingest()
    with ThreadPoolExecutor() as threads:
        work = threads.submit(late.dependents, sources)
        assert late.recorder.fetched.wait(60)
        other.dependents(sources, wanted=[Dependent.DISCUSSIONS, Dependent.STATE_EVENTS])
        late.recorder.go.set()
        work.result(60)
    outcome = late.outcome(issue(12))
    assert outcome.dependents_stale_skipped == ("discussions", "state_events")
    assert not outcome.has_warning
    assert late.recorder.finish_succeeded()
    with ledger.read() as tx:
        result = load_result(tx, late.recorder.run_id)
    assert result is not None
    assert (result.counters.dependents_replaced, result.counters.dependents_stale_skipped) == (2, 2)
    assert result.warnings_count == 0
    assert result.entity_outcomes[0].dependents_word == "2 already newer"
    assert other.outcome(issue(12)).dependents_stale_skipped == ()
