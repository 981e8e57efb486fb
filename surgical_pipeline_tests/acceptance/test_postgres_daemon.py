"""Sensors, backfills, receiver and what people ask, over a ledger in PostgreSQL: all with Dagster's own daemon."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import called
from surgical_pipeline_tests.acceptance.test_metrics_serve import serving, values
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.dagster_home import move_in
from surgical_pipeline_tests.postgres_server import PostgresServer
from surgical_pipeline_tests.quick_daemon import running_daemon
from surgical_pipeline_tests.receiver_process import SECRET, ReceiverProcess

pytestmark = pytest.mark.processes

POLLED, HOOKED, STUBBORN = 13, 12, 3
LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Installed:
    """The daemon and a receiver run, in this process's environment."""

    home: Path
    sandbox: RunningSandbox
    receiver: ReceiverProcess
    server: PostgresServer
    url: str

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        return self.server.rows(self.url.rpartition("/")[2], text)

    def wait_for(self, text: str, *, what: str) -> list[tuple[Any, ...]]:
        """Rows of a query, once there are any."""
        return wait_until(lambda: self.rows(text), limit_seconds=LIMIT_SECONDS, what=what)

    def wait_for_vector(self, title: str) -> None:
        found = (
            "SELECT 1 FROM documents JOIN embeddings USING (document_id, content_hash) "
            f"WHERE documents.title = '{title}' LIMIT 1"
        )
        self.wait_for(found, what=f"{title} is embedded")


@pytest.fixture(scope="module")
def installed(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    home = tmp_path_factory.mktemp("home")
    with (
        RunningSandbox(build_sample(issues=20)) as sandbox,
        postgres.temporary() as database,
        pytest.MonkeyPatch.context() as patched,
    ):
        move_in(home, sandbox, monkeypatch=patched)
        ledger = postgres.url(database)
        with postgres.ledger(database).write("make"):
            pass
        watching = {
            "SURGICAL_LEDGER": ledger,
            "SURGICAL_PROJECTS": "acme/rocket",
            "SURGICAL_SINCE": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds"),
            "SURGICAL_WEBHOOK_SECRET": SECRET,
        }
        for name, value in watching.items():
            patched.setenv(name, value)
        sandbox.control.update_issue(POLLED, title="Found by polling")
        with ReceiverProcess(home, SURGICAL_LEDGER=ledger) as receiver, running_daemon(home):
            yield Installed(home, sandbox, receiver, postgres, ledger)


def asked(*words: str, exit_code: int = 0) -> Any:
    done = called(*words, "--json")
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout)


def test_an_edit_comes_by_polling_and_another_by_a_hook(installed: Installed) -> None:
    installed.wait_for_vector("Found by polling")
    installed.sandbox.control.hooks.add(installed.receiver.url, token=SECRET)
    installed.sandbox.control.update_issue(HOOKED, title="Told by a hook")
    installed.wait_for_vector("Told by a hook")
    installed.sandbox.control.hooks.clear()
    done = f"SELECT seq FROM gitlab_events WHERE iid = {HOOKED} AND state = 'done'"
    assert installed.wait_for(done, what="the event is done") == [(1,)]
    ours = "FROM sync_runs WHERE mode = 'incremental' AND trigger = 'sensor'"
    ((polled,), *_) = installed.rows(f"SELECT scope {ours} AND events_upto IS NULL ORDER BY number")
    ((hooked,),) = installed.rows(f"SELECT scope {ours} AND events_upto = 1")
    assert (polled.rpartition("#")[2], hooked.rpartition("#")[2]) == (str(POLLED), str(HOOKED))


def test_a_backfill_is_shown_to_its_end_and_what_is_left_is_resumed(installed: Installed) -> None:
    """By the daemon: the command only plans, and looks. GitLab hides the batch with one of the issues."""
    control = installed.sandbox.control
    control.add_fault("*", status=404, iid=STUBBORN)
    first = asked("backfill", "acme/rocket", "--issues", "1-4", "--chunk", "2", exit_code=3)
    backfill_id = first["status"]["backfill_id"]
    control.clear_faults()
    assert (first["status"]["progress"]["done"], first["status"]["left"]) == (2, 2)
    resumed = asked("backfill", "resume", backfill_id, "--yes")
    assert resumed["status"]["progress"]["done"] == 2
    assert asked("backfill", "status", backfill_id)["left"] == 0
    assert installed.rows("SELECT count(*) FROM sync_runs WHERE mode = 'backfill'") == [(3,)]


def test_what_people_and_prometheus_ask_is_answered(installed: Installed) -> None:
    body = {
        "object_kind": "issue",
        "project": {"id": 99, "path_with_namespace": "other/project"},
        "object_attributes": {"iid": 1},
    }
    assert installed.receiver.post(body, key="of-nobody").status_code == 200
    installed.receiver.await_drained()
    ((seq,),) = installed.wait_for(
        "SELECT seq FROM gitlab_events WHERE project_id = 99", what="it is brought over"
    )
    (listed,) = asked("events", "list", "--state", "pending")
    assert (listed["seq"], listed["watched"]) == (seq, False)
    assert asked("events", "drop", str(seq))["changed"] == [seq]
    assert asked("events", "retry", str(seq))["changed"] == [seq]
    assert asked("events", "drop", str(seq))["changed"] == [seq]

    assert called("runs", "reconcile").exit_code == 0
    apart = "finished_at IS NOT NULL AND (dagster_status = 'SUCCESS') IS DISTINCT FROM (status <> 'failed')"
    assert installed.rows(f"SELECT run_id FROM sync_runs WHERE {apart}") == []
    ((ended,),) = installed.rows("SELECT count(*) FROM sync_runs WHERE finished_at IS NOT NULL")
    assert len(asked("runs", "list")) >= ended >= 5
    report = asked("report", "--html", str(installed.home / "page.html"))
    assert report["newest_runs"]["total"] >= ended
    checks = {one["check"]: one for one in asked("doctor", exit_code=0)}
    assert "1 done" in checks["events"]["found"]
    with serving(installed.home, SURGICAL_LEDGER=installed.url) as (url, _process):
        page = values(httpx.get(url, timeout=20).text)
    assert any(name[0].startswith("surgical_") for name in page)
    assert asked("ledger", "check")["violations"] == []
