import contextlib
import os
import random
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.webhook.spool import Spool, SpoolPlaceError, read_counters
from surgical_pipeline.webhook.spool_file import VACUUM_BYTES, SpoolError

NOW = datetime(2026, 7, 1, 12, 0, 0, 123_456, tzinfo=UTC)
EVENT = GitLabEvent(
    key="delivery-1",
    kind="note",
    project_id=2**63 - 1,
    project_path="acme/rocket",
    entity=EntityKey(EntityType.MERGE_REQUEST, 34),
    received_at=NOW,
    sent_at=NOW - timedelta(seconds=1),
    occurred_at=NOW.astimezone(timezone(timedelta(hours=2))),
)
BARE = replace(EVENT, key="delivery-2", project_path=None, sent_at=None, occurred_at=None)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Spool]:
    spool = Spool(path)
    spool.open()
    try:
        yield spool
    finally:
        spool.close()


def numbered(count: int, *, start: int = 0) -> list[GitLabEvent]:
    return [replace(EVENT, key=f"delivery-{number}") for number in range(start, start + count)]


def test_an_event_comes_back_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        assert [spool.put(one).result() for one in (EVENT, BARE, EVENT)] == [True, True, False]
        assert [event for _, event in spool.oldest(10)] == [EVENT, BARE]
        assert [event for _, event in spool.oldest(1)] == [EVENT]


def test_events_are_there_after_the_process_starts_anew_until_they_are_removed(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        wait([spool.put(event) for event in numbered(3)])
    with opened(tmp_path / "spool") as spool:
        assert spool.filled.is_set(), "somebody must look"
        (first, _), *rest = spool.oldest(10)
        spool.remove([first])
        assert spool.oldest(10) == rest
    with opened(tmp_path / "spool") as spool:
        assert spool.oldest(10) == rest


def test_a_position_is_never_given_twice(tmp_path: Path) -> None:
    """Or who removes what it has read would remove another event."""
    with opened(tmp_path / "spool") as spool:
        spool.put(EVENT).result()
        (before,) = spool.oldest(1)
        spool.remove([before[0]])
        spool.put(BARE).result()
        assert spool.oldest(1)[0][0] > before[0]


def test_its_files_are_for_their_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    (tmp_path / "spool").touch(0o666)
    try:
        with opened(tmp_path / "spool") as spool:
            spool.put(EVENT).result()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["spool", "spool.lock", "spool-wal", "spool-shm"], 0o600)


PRAGMAS = ("journal_mode", "synchronous")


def test_every_commit_is_flushed(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        settings = spool._ask(lambda one: [one.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS])
        assert settings.result() == ["wal", 2]


def test_what_waits_shares_one_transaction(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        gate, entered = threading.Event(), threading.Event()

        def hold(_connection: sqlite3.Connection) -> None:
            entered.set()
            gate.wait(10)

        spool._ask(hold)
        entered.wait(10)
        commits: list[int] = []
        spool._ask(lambda connection: connection.set_trace_callback(lambda sql: commits.append(sql == "COMMIT")))
        stored = [spool.put(event) for event in numbered(100)]
        gate.set()
        wait(stored)
        assert sum(commits) == 1
        assert len(spool.oldest(1_000)) == 100


def test_a_second_receiver_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        (tmp_path / "link").symlink_to(tmp_path / "spool")
        for name in ("spool", "link"):
            with pytest.raises(SpoolError, match="another receiver has the spool"):
                Spool(tmp_path / name).open()
        assert spool.put(EVENT).result()
    with opened(tmp_path / "spool") as spool:
        assert len(spool.oldest(10)) == 1


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_network_filesystem_is_refused_and_nothing_is_left_on_it(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / {tmp_path.resolve()} rw - {kind} nas:/x rw\n")
    with pytest.raises(SpoolPlaceError, match="SURGICAL_SPOOL"):
        Spool(tmp_path / "spool", mounts=mounts).open()
    assert list(tmp_path.iterdir()) == [mounts]


@pytest.mark.parametrize("content", [b"this is a text" * 500, b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_file_that_is_no_spool_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool").write_bytes(content)
    with pytest.raises(SpoolError, match="cannot be used"):
        Spool(tmp_path / "spool").open()
    assert (tmp_path / "spool").read_bytes() == content


def test_a_spool_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "spool")) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(SpoolError, match="newer version"):
        Spool(tmp_path / "spool").open()


def test_beside_a_shell_that_writes_it_says_so_in_time_and_goes_on_afterwards(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        with contextlib.closing(sqlite3.connect(tmp_path / "spool", isolation_level=None)) as shell:
            shell.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            with pytest.raises(SpoolError, match="locked"):
                spool.put(EVENT).result()
            assert time.monotonic() - began < 6
        assert spool.put(EVENT).result()


def test_a_spool_that_is_deleted_in_mid_run_is_made_anew(tmp_path: Path) -> None:
    """What goes into a deleted file is lost, however often it is flushed."""
    with opened(tmp_path / "spool") as spool:
        spool.put(EVENT).result()
        for name in ("spool", "spool-wal", "spool-shm"):
            (tmp_path / name).unlink()
        assert spool.put(BARE).result()
    with opened(tmp_path / "spool") as spool:
        assert [event for _, event in spool.oldest(10)] == [BARE]


def test_a_defect_in_one_request_does_not_end_the_thread(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        with pytest.raises(ZeroDivisionError):
            spool._ask(lambda _connection: 1 / 0).result()
        assert spool.put(EVENT).result()


def test_a_file_that_has_grown_gives_its_space_back_when_it_is_empty(tmp_path: Path) -> None:
    dice = random.Random(5)

    def size() -> int:
        return sum(path.stat().st_size for path in tmp_path.iterdir())

    with opened(tmp_path / "spool") as spool:
        bulk = [replace(EVENT, key=f"{number}-{dice.randbytes(120).hex()}") for number in range(20_000)]
        wait([spool.put(event) for event in bulk])
        positions = [position for position, _ in spool.oldest(len(bulk))]
        assert size() > VACUUM_BYTES
        spool.remove(positions[1:])
        spool.state().result()
        assert size() > VACUUM_BYTES, "one event still waits"
        spool.remove(positions[:1])
        spool.state().result()
        assert size() < 1_000_000
        assert spool.put(EVENT).result()


def test_counters_of_a_spool_that_is_not_there_are_none(tmp_path: Path) -> None:
    assert read_counters(tmp_path / "spool") is None
    (tmp_path / "spool").write_bytes(b"this is a text" * 500)
    assert read_counters(tmp_path / "spool") is None


def test_what_was_counted_last_is_written_before_it_closes(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        spool.count("ignored")
    assert read_counters(tmp_path / "spool") == DeliveryCounts(ignored=1)


def test_counters_are_written_soon_though_nothing_is_accepted(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        for _ in range(3):
            spool.count("refused_age")
        end = time.monotonic() + 10
        while (found := read_counters(tmp_path / "spool")) is None or found.refused_age != 3:
            assert time.monotonic() < end
            time.sleep(0.05)
