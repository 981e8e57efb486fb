"""The schedule as Dagster evaluates it, over a real ledger, and a run that it asks for."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import query

SCOPE = "acme/rocket#12-14!34"


def evaluated() -> list[dg.RunRequest] | str:
    """The requests of a tick, or why there are none."""
    at = datetime(2026, 5, 4, 4, 30, tzinfo=UTC)
    # The tick enters the instance. Entered here, too, it would stay the one of all tests after this.
    context = dg.build_schedule_context(instance=dg.DagsterInstance.get(), scheduled_execution_time=at)
    data = defs.resolve_schedule_def("sweep").evaluate_tick(context)
    return list(data.run_requests or ()) or data.skip_message or ""


def only_one(requests: list[dg.RunRequest] | str) -> dg.RunRequest:
    assert isinstance(requests, list), requests
    (request,) = requests
    return request


def run(request: dg.RunRequest) -> None:
    with dg.DagsterInstance.get() as instance:
        defs.resolve_job_def("surgical_sync_job").execute_in_process(
            instance=instance, run_config=request.run_config, tags=request.tags
        )


@pytest.fixture(autouse=True)
def watched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home  # which sets the environment
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/*")


def test_all_that_the_ledger_knows_is_asked_for_in_the_background(sync: Sync) -> None:
    sync(SCOPE)
    request = only_one(evaluated())
    block = request.run_config["ops"]["surgical_sync"]["config"]
    assert (block["project"], block["issue_iids"], block["mr_iids"]) == ("4201", [12, 13, 14], [34])
    assert block["only_changed"] is True
    assert request.tags["surgical/project"] == "acme/rocket"
    assert request.tags["dagster/priority"] == "-10"
    assert request.tags["surgical/background"]


@pytest.mark.both_ledgers
def test_a_sweep_syncs_what_changed_and_what_vanished_and_nothing_else(
    sync: Sync, sandbox: RunningSandbox, ledger: Ledger
) -> None:
    sync(SCOPE)
    sandbox.control.update_issue(12, title="renamed", bump_updated_at=False)
    sandbox.control.delete_issue(13)
    for _ in range(2):
        run(only_one(evaluated()))
    assert query(ledger, "SELECT iid FROM issues WHERE title = 'renamed'") == [(12,)]
    assert query(ledger, "SELECT iid FROM issues WHERE deleted_at IS NOT NULL") == [(13,)]
    assert query(ledger, "SELECT DISTINCT project_path, trigger FROM sync_runs ORDER BY trigger DESC") == [
        ("acme/rocket", "sensor"),
        ("acme/rocket", "cli"),
    ]
    request = only_one(evaluated())
    assert request.run_config["ops"]["surgical_sync"]["config"]["issue_iids"] == [12, 14]


def test_a_deep_sweep_fetches_everything(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync(SCOPE)
    monkeypatch.setenv("SURGICAL_SWEEP_DEEP", "true")
    request = only_one(evaluated())
    assert request.run_config["ops"]["surgical_sync"]["config"]["only_changed"] is False


def test_a_tick_says_why_it_asks_for_nothing(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluated() == "The ledger has nothing of the watched projects yet."
    sync(SCOPE)
    monkeypatch.setenv("SURGICAL_PROJECTS", "other/*")
    assert evaluated() == "The ledger has nothing of the watched projects yet."
    monkeypatch.delenv("SURGICAL_PROJECTS")
    assert evaluated() == "SURGICAL_PROJECTS names no project: there is nothing to sweep."
