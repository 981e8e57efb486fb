"""Care of the ledger's file as a whole: a consistent copy while others work, and a compacted one in its place."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.duckdb import engine
from surgical_pipeline.ledger.duckdb import file as ledger_file
from surgical_pipeline.ledger.duckdb.copying import copy_file_and_log
from surgical_pipeline.ledger.duckdb.faults import storage_errors
from surgical_pipeline.ledger.duckdb.file import flush, make_empty, mode_of, wal_bytes, wal_path
from surgical_pipeline.ledger.duckdb.leftovers import COMPACTING, PARTIAL, owned
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import BackupRefusedError, LedgerError, LedgerMissingError
from surgical_pipeline.ledger.interruptions import interruptions
from surgical_pipeline.ledger.versions import refuse_newer


class Backup(BaseModel):
    """``size_bytes``: of the copy; ``seconds``: in total, including waits for others."""

    model_config = ConfigDict(frozen=True)

    path: Path
    size_bytes: int
    seconds: float


class Compaction(BaseModel):
    """``bytes_before``: of the file with its log; ``seconds``: in total, including waits for others."""

    model_config = ConfigDict(frozen=True)

    path: Path
    bytes_before: int
    bytes_after: int
    seconds: float


def backup(ledger: DuckDBLedger, destination: Path, *, force: bool = False) -> Backup:
    """Copy the ledger, as it is at one moment, to one file. ``force``: an existing file may be replaced.

    Writers wait while bytes are copied, readers do not. The whole copy is read once before it gets its name.

    Raises:
        BackupRefusedError: the place is taken, is the ledger itself, or its folder does not exist.
        LedgerMissingError: there is nothing to copy.
        LedgerError: the ledger cannot be used or is damaged, or the copy cannot be written.
    """
    started = time.monotonic()
    if not ledger.exists:
        raise LedgerMissingError(ledger.path)
    destination = _checked_destination(ledger.path, destination, force=force)
    ledger.checkpoint()
    partial = destination.with_name(f"{destination.name}{PARTIAL}")
    with copied_aside(ledger, partial, mode=mode_of(destination)):
        if wal_bytes(partial):
            with ledger.opened(partial, read_only=False) as copy, storage_errors(partial):
                copy.execute("CHECKPOINT")
        _fingerprints(ledger, partial)
        flush(partial)
        wal_path(destination).unlink(missing_ok=True)
        partial.replace(destination)
        flush(destination.parent)
    return Backup(
        path=destination, size_bytes=destination.stat().st_size, seconds=round(time.monotonic() - started, 3)
    )


@contextmanager
def copied_aside(ledger: DuckDBLedger, partial: Path, *, mode: int) -> Iterator[None]:
    """A copy of the ledger, with its log, as it is at one moment; removed at the end unless it was renamed.

    It is marked as owned meanwhile. If this process is killed, whoever looks for leftovers finds it, so its name
    ends in ``PARTIAL``.

    Raises:
        LedgerError: the ledger cannot be used, or the copy cannot be written.
    """
    with _temporary(partial), ExitStack() as ours:
        with ledger.kept_still(exclusive=False), ledger.opened(ledger.path, read_only=True):
            make_empty(partial, mode=mode)
            ours.enter_context(owned(partial))
            copy_file_and_log(ledger.path, partial, mode=mode)
        yield


def compact(ledger: DuckDBLedger) -> Compaction:
    """Put a newly written file in the ledger's place: without the space of deleted rows, all indexes rebuilt.

    Everybody else waits. A kill at any moment leaves either the old file or the new one.

    Raises:
        LedgerMissingError: there is nothing to compact.
        LedgerVersionError: a newer program migrated it; this one does not know all that is in it.
        LedgerError: it cannot be used or read or has duplicate keys, or the disk is full; it is unchanged.
    """
    started = time.monotonic()
    if not ledger.exists:
        raise LedgerMissingError(ledger.path)
    with ledger.write("migrate") as tx:
        refuse_newer(ledger.path, found=tx.column("read_schema_version")[0], migrations=ledger.schema)
    fresh = ledger.path.with_name(f"{ledger.path.name}{COMPACTING}")
    with ledger.kept_still(exclusive=True), _temporary(fresh):
        before = ledger.path.stat().st_size + wal_bytes(ledger.path)
        expected = _fingerprints(ledger, ledger.path)
        with _attached(ledger) as connection:
            _copy_all(connection, ledger.path, fresh)
            if _fingerprints(ledger, fresh) != expected:
                raise LedgerError(f"The compacted copy of {ledger.path} differs from it; the ledger is as before.")
            _give_to_owner_of(ledger.path, fresh)
            flush(fresh)
            fresh.replace(ledger.path)
            flush(ledger.path.parent)
        after = ledger.path.stat().st_size
    return Compaction(
        path=ledger.path, bytes_before=before, bytes_after=after, seconds=round(time.monotonic() - started, 3)
    )


def _checked_destination(source: Path, destination: Path, *, force: bool) -> Path:
    wanted = destination.resolve()
    taken = {source, wal_path(source), Path(f"{source}.lock")}
    if wanted in taken or (wanted.exists() and wanted.samefile(source)):
        raise BackupRefusedError(f"{destination} is the ledger itself: name another file for the backup.")
    if wanted.is_dir():
        raise BackupRefusedError(f"{destination} is a folder: name a file in it for the backup.")
    if not wanted.parent.is_dir():
        raise BackupRefusedError(f"The folder {wanted.parent} does not exist: create it first.")
    for path in (wanted, wal_path(wanted)):
        if path.exists() and not force:
            raise BackupRefusedError(f"{path} exists: name another file, or replace it with --force.")
    return wanted


@contextmanager
def _temporary(path: Path) -> Iterator[None]:
    """A file that is renamed or removed at the end; remains of an earlier, killed attempt are removed first."""
    files = (path, wal_path(path))
    try:
        for file in files:
            file.unlink(missing_ok=True)
        yield
    except OSError as error:
        raise LedgerError(
            f"{path} could not be written: {error.strerror}. Check the free space and permissions of its folder; "
            "the ledger is as before."
        ) from error
    finally:
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def _fingerprints(ledger: DuckDBLedger, path: Path) -> list[tuple[Any, ...]]:
    """Rows and fingerprint of each table, all blocks read; empty for a file of an older version."""
    with ledger.opened(path, read_only=True) as connection, storage_errors(path):
        found = ledger_file.schema_version(connection)
        if ledger_file.check_version(path, connection, found=found, migrations=ledger.schema):
            return []
        return connection.execute(sql.query("read_every_row").text).fetchall()


@contextmanager
def _attached(ledger: DuckDBLedger) -> Iterator[duckdb.DuckDBPyConnection]:
    """The ledger attached as ``ledger`` to a separate connection, with no log left."""
    with interruptions(), contextlib.closing(engine.start(f"{ledger.path}.compacting.tmp")) as connection:
        attach = sql.query("attach_ledger").text
        ledger_file.wait_for_strangers(
            ledger.path,
            lambda: connection.execute(attach, {"path": str(ledger.path)}),
            timeout_seconds=ledger.timeout_seconds,
        )
        with storage_errors(ledger.path):
            connection.execute(sql.query("checkpoint_ledger").text)
        if wal_bytes(ledger.path):
            raise LedgerError(f"The log of {ledger.path} could not be folded in; the ledger is as before.")
        yield connection


def _copy_all(connection: duckdb.DuckDBPyConnection, path: Path, fresh: Path) -> None:
    try:
        with storage_errors(path):
            connection.execute(sql.query("attach_compacted").text, {"path": str(fresh)})
            fresh.chmod(mode_of(path))
            make_empty(wal_path(fresh), mode=mode_of(path))
            for name in ("copy_ledger", "checkpoint_compacted", "detach_compacted"):
                connection.execute(sql.query(name).text)
    except duckdb.ConstraintException as error:
        raise LedgerError(
            f"The ledger {path} cannot be compacted: {str(error).partition(chr(10))[0]} It is as before. "
            "`surgical-pipeline ledger check` names the rows; restore the file from a backup."
        ) from error


def _give_to_owner_of(path: Path, fresh: Path) -> None:
    """If root compacts it, the ledger keeps its owner."""
    theirs, ours = path.stat(), fresh.stat()
    if (theirs.st_uid, theirs.st_gid) != (ours.st_uid, ours.st_gid):
        shutil.chown(fresh, theirs.st_uid, theirs.st_gid)
