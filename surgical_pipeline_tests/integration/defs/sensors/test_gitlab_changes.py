"""The sensor that polls, with a sandbox over HTTP and a ledger: what each tick asks for, says and remembers."""

import time
from collections.abc import Callable

import dagster as dg
import pytest

from surgical_pipeline.defs import list_looks
from surgical_pipeline.defs.dagster_runs import mode_of, scope_of, trigger_of
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.events.poll_cursor import PollCursor
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import SettingsError
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.defs.sensors.polling import Ticks

BULK = "2026-11-02T03:04:05.678Z"


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


def test_without_projects_a_tick_says_what_to_set(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGICAL_PROJECTS")
    assert ticks.tick() == []
    assert ticks.said.startswith("SURGICAL_PROJECTS names no project: set it to paths, ids or group/*")


def test_a_wrong_setting_is_an_error_of_the_tick(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGICAL_PROJECTS", "rocket")
    with pytest.raises(SettingsError, match="SURGICAL_PROJECTS: 'rocket' names no project"):
        ticks.tick()
