"""Machines and a GitLab whose clocks are wrong, over real HTTP: what counts is who asked GitLab later."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.stage_run import StageRun, issue, merge_request
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.both_ledgers

DAY = timedelta(days=1)
CORE = set(map(str, CORE_DEPENDENTS))


class GitLab:
    """A sandbox whose clock is ``ahead`` of ours, with one ledger, and runs on machines of any clock."""

    def __init__(self, sandbox: RunningSandbox, ledger: Ledger, folder: Path) -> None:
        self.sandbox, self.ledger, self.folder = sandbox, ledger, folder
        self.numbers = itertools.count(1)

    def run(self, scope: str = "acme/rocket#12", *, wrong: timedelta = timedelta()) -> StageRun:
        """A run through all stages up to dependents. ``wrong``: how far its machine's clock is ahead of ours."""
        run_id = f"run-{next(self.numbers)}"
        run = StageRun(
            scope,
            url=self.sandbox.url,
            ledger=self.ledger,
            run_id=run_id,
            folder=self.folder,
            wall=lambda: utc_now() + wrong,
        )
        run.up_to_dependents()
        return run


@pytest.fixture
def clock() -> list[timedelta]:
    """How far GitLab's clock is ahead of ours."""
    return [timedelta()]


@pytest.fixture
def gitlab(clock: list[timedelta], ledger: Ledger, tmp_path: Path) -> Iterator[GitLab]:
    with RunningSandbox(clock=lambda: datetime.now(UTC) + clock[0]) as sandbox:
        yield GitLab(sandbox, ledger, tmp_path)


@pytest.mark.parametrize("wrong", [DAY, -DAY], ids=["a day ahead", "a day behind"])
@pytest.mark.parametrize("first_is_wrong", [True, False], ids=["the first", "the second"])
def test_the_later_fetch_counts_though_one_machines_clock_is_wrong(
    gitlab: GitLab, clock: list[timedelta], wrong: timedelta, first_is_wrong: bool
) -> None:
    remark = gitlab.sandbox.control.add_note(12, "An unforgettable remark.").note["id"]
    gitlab.run(wrong=wrong if first_is_wrong else timedelta())
    gitlab.sandbox.control.delete_note(remark)
    gitlab.sandbox.control.update_issue(12, title="New", bump_updated_at=False)
    clock[0] = timedelta(seconds=3)  # a machine whose clock is wrong knows GitLab's to a second
    run = gitlab.run(wrong=timedelta() if first_is_wrong else wrong)
    outcome = run.outcome(issue(12))
    assert outcome.ingested
    assert (outcome.warnings, outcome.dependents_stale_skipped) == ((), ())
    assert query(gitlab.ledger, f"SELECT count(*) FROM notes WHERE note_id = {remark}") == [(0,)]
    assert query(gitlab.ledger, "SELECT title FROM issues") == [("New",)]


def test_what_was_fetched_while_gitlabs_clock_was_ahead_is_replaced_and_the_run_says_so(
    gitlab: GitLab, clock: list[timedelta], ledger: Ledger
) -> None:
    clock[0] = DAY
    remark = gitlab.sandbox.control.add_note(12, "An unforgettable remark.").note["id"]
    gitlab.run("acme/rocket#12!34")
    clock[0] = timedelta()
    gitlab.sandbox.control.delete_note(remark)
    run = gitlab.run("acme/rocket#12!34")
    for key in (issue(12), merge_request(34)):
        outcome = run.outcome(key)
        assert outcome.ingested
        assert [warning.stage for warning in outcome.warnings] == ["ingest", *["dependents"] * len(CORE)]
        assert all("in the future of GitLab's clock" in warning.message for warning in outcome.warnings)
    assert query(ledger, f"SELECT count(*) FROM notes WHERE note_id = {remark}") == [(0,)]
    assert run.recorder.finish_succeeded_with_warnings()
    with ledger.read() as tx:
        result = load_result(tx, run.recorder.run_id)
    assert result is not None
    assert result.warnings_count == 2 * (1 + len(CORE))
    assert not any(gitlab.run().outcome(issue(12)).warnings)


def test_an_updated_at_that_an_owner_set_back_is_written_after_a_minute_and_the_run_says_so(
    gitlab: GitLab, clock: list[timedelta], ledger: Ledger
) -> None:
    """Within the minute a replica that lags may have given it."""
    clock[0] = timedelta(seconds=-300)
    gitlab.run()
    gitlab.sandbox.control.update_issue(12, title="Backdated", updated_at="2020-01-01T00:00:00.000Z")
    clock[0] = timedelta(seconds=-260)
    soon = gitlab.run().outcome(issue(12))
    assert (soon.stale_skipped, soon.warnings) == (True, ())
    clock[0] = timedelta(seconds=-230)
    later = gitlab.run().outcome(issue(12))
    (warning,) = later.warnings
    assert later.ingested
    assert "updated_at went back from " in warning.message
    assert " to 2020-01-01 00:00:00 UTC" in warning.message
    assert query(ledger, "SELECT title FROM issues") == [("Backdated",)]
    assert not gitlab.run().outcome(issue(12)).warnings


@pytest.mark.parametrize("date", ["", "yesterday"], ids=["no Date", "garbage"])
def test_a_gitlab_that_does_not_tell_its_time_is_synced_by_the_machines_clock(
    gitlab: GitLab, ledger: Ledger, date: str
) -> None:
    gitlab.sandbox.control.add_fault("*", headers={"date": date})
    before = utc_now()
    assert gitlab.run().outcome(issue(12)).ingested
    ((fetched_at,),) = query(ledger, "SELECT fetched_at FROM issues")
    assert isinstance(fetched_at, datetime)
    assert before <= fetched_at <= utc_now()
