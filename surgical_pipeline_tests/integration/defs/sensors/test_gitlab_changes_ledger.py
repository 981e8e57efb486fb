"""The sensor that polls and its ledger: one that is held, went back, is gone, or was told of hooks."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.defs.sensors.polling import Ticks
from surgical_pipeline_tests.ledger_dump import query


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
    later(130)
    assert ticks.tick() == ["acme/rocket#12"]
    assert ticks.tick() == []  # it is under way
