"""From the spool into the ledger, whatever the ledger does meanwhile."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings
from surgical_pipeline.webhook.drain import Drain
from surgical_pipeline.webhook.spool import Spool
from surgical_pipeline_tests.integration.ledger.examples import read_sql
from surgical_pipeline_tests.integration.ledger.processes import beside, let_go

EVENT = GitLabEvent(
    key="a",
    kind="issue",
    project_id=5,
    project_path="acme/rocket",
    entity=EntityKey(EntityType.ISSUE, 7),
    received_at=datetime(2026, 7, 1, tzinfo=UTC),
)


class Draining:
    """A spool and a drain into the ledger at ``path``, which waits for others a second at most."""

    def __init__(self, path: Path, spool: Path) -> None:
        self.path = path
        self.spool = Spool(spool)
        self.spool.open()
        settings = Settings.from_environment({"SURGICAL_LEDGER": str(path)})

        def ledger() -> Ledger:
            return open_ledger(settings, wait_at_most_seconds=1)

        self.drain = Drain(self.spool, ledger)
        self.drain.start()

    def put(self, *keys: str) -> None:
        for key in keys:
            self.spool.put(replace(EVENT, key=key)).result()

    def close(self) -> None:
        self.drain.stop()
        self.spool.close()

    @property
    def inbox(self) -> list[str]:
        with DuckDBLedger(self.path).read() as tx:
            return [row[0] for row in read_sql(tx, "SELECT event_key FROM gitlab_events ORDER BY seq")]


def until(condition: Callable[[], bool], *, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def empty(draining: Draining) -> bool:
    return not draining.spool.oldest(1)


@pytest.fixture
def draining(tmp_path: Path) -> Iterator[Draining]:
    running = Draining(tmp_path / "ledger.duckdb", tmp_path / "spool")
    yield running
    running.close()


def test_events_come_into_a_ledger_that_the_first_of_them_makes(draining: Draining) -> None:
    draining.put("b")
    until(lambda: empty(draining))
    assert draining.inbox == ["b"]
    draining.put("c", "a")
    until(lambda: empty(draining))
    assert draining.inbox == ["b", "c", "a"]
    assert draining.drain.state.trouble is None
    assert draining.drain.state.drained_at is not None


@pytest.mark.parametrize("holder", ["hold_shell", "hold_write", "hold_read"])
def test_while_others_hold_the_ledger_events_wait_and_then_come_in_order(draining: Draining, holder: str) -> None:
    draining.put("first")
    until(lambda: empty(draining))
    with beside(holder, draining.path) as process:
        draining.put(*"abc")
        until(lambda: draining.drain.state.trouble == "LOCK_TIMEOUT")
        assert draining.drain.state.since is not None
        assert len(draining.spool.oldest(10)) == 3
        let_go(process)
    until(lambda: empty(draining))
    assert draining.inbox == ["first", "a", "b", "c"]
    assert draining.drain.state.trouble is None


def test_a_missing_folder_is_waited_for(tmp_path: Path) -> None:
    draining = Draining(tmp_path / "missing" / "ledger.duckdb", tmp_path / "spool")
    draining.put("a")
    until(lambda: draining.drain.state.trouble == "LEDGER_ERROR")
    (tmp_path / "missing").mkdir()
    until(lambda: empty(draining))
    assert draining.inbox == ["a"]
    draining.close()


def test_a_file_that_is_no_ledger_is_left_alone_until_it_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_text("no database" * 1_000, encoding="utf-8")
    draining = Draining(path, tmp_path / "spool")
    draining.put("a")
    until(lambda: draining.drain.state.trouble == "LEDGER_ERROR")
    time.sleep(1)  # more attempts
    assert path.read_text(encoding="utf-8").startswith("no database")
    with DuckDBLedger(tmp_path / "backup.duckdb").write("make"):
        pass
    duckdb.connect(str(tmp_path / "backup.duckdb")).close()  # folds the log in
    (tmp_path / "backup.duckdb").replace(path)
    until(lambda: empty(draining))
    assert draining.inbox == ["a"]
    draining.close()
    assert [line.split(":")[0] for line in caplog.messages if "events" in line] == [
        "events wait in the spool, and none is lost",
        "events reach the ledger again",
    ]


def test_a_ledger_that_is_deleted_in_mid_run_is_not_made_anew_behind_peoples_backs(
    draining: Draining, tmp_path: Path
) -> None:
    draining.put("a")
    until(lambda: empty(draining))
    for file in tmp_path.glob("ledger.duckdb*"):
        file.rename(tmp_path / f"away-{file.name}")
    draining.put("b")
    until(lambda: draining.drain.state.trouble == "LEDGER_ERROR")
    assert not draining.path.exists()
    for file in tmp_path.glob("away-*"):
        file.rename(tmp_path / file.name.removeprefix("away-"))
    until(lambda: empty(draining))
    assert draining.inbox == ["a", "b"]


def test_an_event_that_was_written_and_not_removed_is_not_written_twice(draining: Draining) -> None:
    """What a kill leaves between the ledger's commit and the spool's."""
    draining.put("a")
    until(lambda: empty(draining))
    draining.put("a", "b")
    until(lambda: empty(draining))
    assert draining.inbox == ["a", "b"]


def test_it_stops_at_once_while_the_ledger_is_held(draining: Draining) -> None:
    draining.put("first")
    until(lambda: empty(draining))
    with beside("hold_shell", draining.path):
        draining.put("a")
        until(lambda: draining.drain.state.trouble is not None)
        began = time.monotonic()
        draining.drain.stop()
        assert time.monotonic() - began < 2
    assert len(draining.spool.oldest(10)) == 1
