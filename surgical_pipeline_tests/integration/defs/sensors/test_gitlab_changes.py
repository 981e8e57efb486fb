"""The sensor that polls, with a sandbox over HTTP and a ledger: what each tick asks for, says and remembers."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.defs import list_looks
from surgical_pipeline.defs.dagster_runs import mode_of, scope_of, trigger_of
from surgical_pipeline.defs.sensors.gitlab_changes import gitlab_changes
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.events.poll_cursor import MAX_CHARACTERS, PollCursor
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import SettingsError
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import query

BULK = "2026-11-02T03:04:05.678Z"


class Ticks:
    """One evaluation after the other, as Dagster makes them: each gets the cursor of the one before."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.requests: list[dg.RunRequest] = []

    def tick(self) -> list[str]:
        """The scopes that it asks for."""
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            result = gitlab_changes(context)
        if isinstance(result, dg.SkipReason):
            self.said, self.requests = result.skip_message or "", []
            return []
        assert isinstance(result, dg.SensorResult)
        assert result.cursor is not None
        assert len(result.cursor) <= MAX_CHARACTERS
        self.cursor = result.cursor
        self.said = (result.skip_reason.skip_message or "") if result.skip_reason else ""
        self.requests = list(result.run_requests or [])
        return [request.tags["surgical/scope"] for request in self.requests]


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as made:
        yield made


@pytest.fixture
def unsettled_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settle rule off: it asks for what changed a minute ago, too."""
    monkeypatch.setattr("surgical_pipeline.defs.polling.due_entities", lambda *_, **__: [])


@pytest.fixture
def ticks(
    home: Path,  # noqa: ARG001  a fixture that sets the environment
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> Ticks:
    """Of a sensor that watches ``acme/rocket``."""
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/rocket")
    return Ticks(instance)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let ticks be so many seconds later: GitLab's clock is ahead of everything else."""
    real = list_looks.look_at_lists
    passed = [0.0]

    async def look(*args: object, **options: object) -> list_looks.Looks:
        looks = await real(*args, **options)  # type: ignore[arg-type]
        looks.now += timedelta(seconds=passed[0])
        return looks

    monkeypatch.setattr("surgical_pipeline.defs.polling.look_at_lists", look)

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    return pass_by


def test_the_first_tick_asks_for_nothing_and_an_idle_one_costs_two_requests(
    ticks: Ticks, sandbox: RunningSandbox
) -> None:
    assert ticks.tick() == []
    sandbox.control.clear_requests()
    assert ticks.tick() == []
    assert ticks.said == "Nothing new in 1 watched entry."
    assert [request.path for request in sandbox.control.requests().requests] == [
        "/api/v4/projects/acme%2Frocket/issues",
        "/api/v4/projects/acme%2Frocket/merge_requests",
    ]


def test_what_changed_is_asked_for_once_in_one_run_of_its_project(ticks: Ticks, sandbox: RunningSandbox) -> None:
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    sandbox.control.update_issue(14, title="Changed")
    sandbox.control.update_merge_request(34, title="Changed")
    assert ticks.tick() == ["acme/rocket#12+14!34"]
    (request,) = ticks.requests
    run = dg.DagsterRun(
        job_name="surgical_sync_job",
        run_config=dict(request.run_config),
        tags={**request.tags, "dagster/sensor_name": "gitlab_changes"},
    )
    assert (mode_of(run), trigger_of(run)) == (RunMode.INCREMENTAL, Trigger.SENSOR)
    assert str(scope_of(run)) == "acme/rocket#12+14!34"
    assert ticks.tick() == []
    assert ticks.said == "3 changes wait for a run."


def test_what_the_ledger_has_meanwhile_is_not_waited_for(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync
) -> None:
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    (scope,) = ticks.tick()
    sync(scope)
    assert ticks.tick() == []
    assert ticks.said.startswith("Nothing new")


def test_what_a_hook_has_brought_before_is_not_asked_for_again(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync
) -> None:
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    sync("acme/rocket#12")
    assert ticks.tick() == []
    assert ticks.said.startswith("Nothing new")


def test_what_no_run_brings_is_asked_for_again_by_another_key(
    ticks: Ticks, sandbox: RunningSandbox, later: Callable[[float], None]
) -> None:
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    asked, keys = [], set()
    for _ in range(30):
        asked += ticks.tick()
        keys |= {request.run_key for request in ticks.requests}
        later(12)
    assert asked == ["acme/rocket#12"] * 3  # at once, after 30 s, and after another 2 minutes
    assert len(keys) == 3


@pytest.mark.usefixtures("unsettled_is_nothing")
def test_after_three_failed_runs_it_is_a_miss_that_a_tick_reports(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync, later: Callable[[float], None]
) -> None:
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    sandbox.control.add_fault("*/issues/12/discussions", status=403)
    asked: list[str] = []
    for _ in range(30):
        scopes = ticks.tick()
        asked += scopes
        if scopes:
            sync(scopes[0])
        if ticks.said.startswith("Given up"):
            break
        later(30)
    assert asked == ["acme/rocket#12"] * 3
    assert ticks.said.startswith("Given up after 3 runs that did not bring them up to date: acme/rocket#12 ")
    state = next(iter(PollCursor.parse(ticks.cursor or "").states.values()))
    assert {one.since for one in state.values()} == {None}


def test_250_changes_of_one_moment_are_three_runs_and_then_done(
    ticks: Ticks, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sorted(sandbox.control.create_issue(title="one of many", updated_at=BULK)["iid"] for _ in range(250))
    monkeypatch.setenv("SURGICAL_SINCE", "2026-11-01T00:00:00Z")
    scopes = ticks.tick()
    runs = [request.run_config["ops"]["surgical_sync"]["config"] for request in ticks.requests]
    asked = sorted(iid for run in runs for iid in run["issue_iids"])
    assert asked[-250:] == made
    assert all(len(run["issue_iids"]) + len(run["mr_iids"]) <= 100 for run in runs)
    assert len(scopes) == len(set(scopes))
    assert ticks.tick() == []


def test_since_a_day_in_the_past_everything_that_changed_is_asked_for(
    ticks: Ticks, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.control.update_issue(12, updated_at="2026-11-05T12:00:00Z")
    sandbox.control.update_issue(14, updated_at="2026-11-05T11:59:59.999Z")
    monkeypatch.setenv("SURGICAL_SINCE", "2026-11-05T12:00:00Z")
    (scope,) = ticks.tick()
    assert "#12" in scope
    assert "14" not in scope


def test_a_group_costs_two_requests_whatever_is_in_it_and_gives_a_run_a_project(
    ticks: Ticks, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/*")
    sandbox.control.create_project("acme/deep/engine")
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    sandbox.control.create_issue(project="acme/deep/engine", title="New")
    sandbox.control.clear_requests()
    assert sorted(ticks.tick()) == ["acme/deep/engine#1", "acme/rocket#12"]
    assert sandbox.control.requests().count == 2


def test_a_project_that_fails_keeps_its_place_and_holds_nobody_up(
    ticks: Ticks, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/rocket,acme/tools")
    sandbox.control.create_project("acme/tools")
    sandbox.control.create_issue(project="acme/tools", title="New")
    ticks.tick()
    sandbox.control.add_fault("*/acme%2Ftools/*", status=403)
    sandbox.control.update_issue(1, title="Changed", project="acme/tools")
    sandbox.control.update_issue(12, title="Changed")
    assert ticks.tick() == ["acme/rocket#12"]
    ticks.tick()
    assert "the lists of acme/tools cannot be read, which keeps its place: GitLab answered 403" in ticks.said
    sandbox.control.clear_faults()
    assert ticks.tick() == ["acme/tools#1"]


def test_one_list_that_fails_does_not_hold_up_the_other(ticks: Ticks, sandbox: RunningSandbox) -> None:
    ticks.tick()
    sandbox.control.add_fault("*/merge_requests", status=403)
    sandbox.control.update_issue(12, title="Changed")
    assert ticks.tick() == ["acme/rocket#12"]
    ticks.tick()
    assert "the merge requests of acme/rocket cannot be read: GitLab answered 403" in ticks.said


def test_slow_projects_end_a_tick_in_time_and_have_others_first_the_next_time(
    ticks: Ticks, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_looks, "AT_ONCE", 1)
    monkeypatch.setattr(list_looks, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(list_looks, "WATCH_SECONDS", 0.7)
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/slow,acme/slower,acme/rocket")
    for name in ("acme/slow", "acme/slower"):
        sandbox.control.create_project(name)
    sandbox.control.add_fault("*/acme%2Fslow*", delay_ms=20_000)
    began = time.monotonic()
    ticks.tick()
    assert time.monotonic() - began < 5
    assert "no time or room was left for acme/rocket, which come first next" in ticks.said
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    asked = [scope for _ in range(3) for scope in ticks.tick()]
    assert asked == ["acme/rocket#12"]


def test_an_outage_loses_nothing(ticks: Ticks, sandbox: RunningSandbox) -> None:
    ticks.tick()
    sandbox.control.add_fault("*", drop="before_headers")
    sandbox.control.update_issue(12, title="Changed")
    assert ticks.tick() == []
    assert "keeps its place: no answer from GitLab" in ticks.said
    sandbox.control.clear_faults()
    assert ticks.tick() == ["acme/rocket#12"]


@contextmanager
def held(ledger: DuckDBLedger) -> Iterator[None]:
    """Another thread has a write window on it."""
    has_it, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.write("hold"):
            has_it.set()
            may_end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert has_it.wait(60)
        yield
    finally:
        may_end.set()
        thread.join()


def test_a_ledger_that_is_held_ends_the_tick_with_its_cursor_as_it_was(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync, ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync("acme/rocket#14")
    ticks.tick()
    cursor = ticks.cursor
    sandbox.control.update_issue(12, title="Changed")
    monkeypatch.setenv("SURGICAL_LOCK_TIMEOUT_SECONDS", "0.2")
    with held(ledger):
        assert ticks.tick() == []
    assert ticks.said.startswith("Nothing was asked for, and nothing is lost: The ledger ")
    assert ticks.cursor == cursor
    assert ticks.tick() == ["acme/rocket#12"]


def test_an_evaluation_only_reads_the_ledger(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync, ledger: DuckDBLedger
) -> None:
    ticks.tick()
    assert not ledger.exists
    sync("acme/rocket#14")
    before = [query(ledger.path, f"SELECT * FROM {table} ORDER BY ALL") for table in ("sync_runs", "entities")]
    sandbox.control.update_issue(12, title="Changed")
    ticks.tick()
    after = [query(ledger.path, f"SELECT * FROM {table} ORDER BY ALL") for table in ("sync_runs", "entities")]
    assert before == after


def test_an_older_copy_of_the_ledger_has_what_it_lost_asked_for_again(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync, ledger: DuckDBLedger
) -> None:
    sync("acme/rocket#14")
    shutil.copyfile(ledger.path, backup := ledger.path.with_name("backup"))
    wal = ledger.path.with_name(f"{ledger.path.name}.wal")
    kept = wal.read_bytes() if wal.exists() else None
    ticks.tick()
    sandbox.control.update_issue(12, title="Changed")
    (scope,) = ticks.tick()
    sync(scope)
    assert ticks.tick() == []
    shutil.copyfile(backup, ledger.path)
    wal.unlink(missing_ok=True)
    if kept is not None:
        wal.write_bytes(kept)
    assert ticks.tick() == []
    assert ticks.said.startswith(
        "Back to what the ledger knows (another ledger, or an older copy of it): acme/rocket"
    )
    assert ticks.tick() == ["acme/rocket#12"]


def test_an_empty_ledger_in_its_place_is_filled_from_surgical_since(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync, ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.control.update_issue(12, updated_at="2026-11-20T12:00:00Z")
    monkeypatch.setenv("SURGICAL_SINCE", "2026-11-20")
    sync("acme/rocket#12")
    ticks.tick()
    for path in ledger.path.parent.glob("ledger.duckdb*"):
        path.unlink()
    assert ticks.tick() == []
    assert ticks.said == (
        "Back to what the ledger knows (another ledger, or an older copy of it): "
        "acme/rocket from 2026-11-19 23:59:59 UTC."
    )
    assert "#12" in ticks.tick()[0]


@pytest.mark.parametrize("cursor", ["nonsense", "1 0 0 nothing 0"])
def test_a_cursor_that_cannot_be_read_goes_back_to_what_the_ledger_knows(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync, cursor: str
) -> None:
    sync("acme/rocket#14")
    sandbox.control.update_issue(12, title="Changed")
    ticks.cursor = cursor
    assert ticks.tick() == []
    assert "cursor cannot be read" in ticks.said
    assert ticks.tick() == ["acme/rocket#12"]


def test_how_well_hooks_do_is_told_where_hooks_are_expected(
    ticks: Ticks,
    sandbox: RunningSandbox,
    sync: Sync,
    later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.control.update_issue(12, title="Changed")
    sync("acme/rocket#12")
    ticks.tick()
    later(121)
    ticks.tick()
    assert "hooks" not in ticks.said
    monkeypatch.setenv("SURGICAL_WEBHOOK_SECRET", "a-secret-of-hooks")
    ticks.tick()
    assert "hooks told of 0 of 1 changes, none ever came" in ticks.said


def test_what_may_have_changed_unseen_is_asked_for_once_more(
    ticks: Ticks, sandbox: RunningSandbox, sync: Sync, later: Callable[[float], None]
) -> None:
    sandbox.control.update_issue(12, title="Changed")
    sync("acme/rocket#12")
    ticks.tick()
    later(70)
    assert ticks.tick() == ["acme/rocket#12"]
    assert ticks.tick() == []  # it is under way


def test_without_projects_a_tick_says_what_to_set(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGICAL_PROJECTS")
    assert ticks.tick() == []
    assert ticks.said.startswith("SURGICAL_PROJECTS names no project: set it to paths, ids or group/*")


def test_a_wrong_setting_is_an_error_of_the_tick(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGICAL_PROJECTS", "rocket")
    with pytest.raises(SettingsError, match="SURGICAL_PROJECTS: 'rocket' names no project"):
        ticks.tick()
