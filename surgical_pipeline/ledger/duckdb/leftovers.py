"""What killed backups and compactions left beside the ledger, told from those that are under way.

A compaction has the ledger's lock alone as long as its file exists. A backup shares it when it makes its file, and
marks the file as owned until it is done. So whoever has the lock alone, and gets the mark, has met a leftover.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from surgical_pipeline.ledger.disk import allocated
from surgical_pipeline.ledger.duckdb.faults import check_magic
from surgical_pipeline.ledger.duckdb.file import wal_path
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError

PARTIAL, COMPACTING = ".partial", ".compacting"


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Mark a file as somebody's until the block ends or the process dies.

    Its descriptor stays open meanwhile: closing one releases the lock that DuckDB has on the file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(ledger: DuckDBLedger, *, dry_run: bool = False) -> tuple[int, int]:
    """Remove them from the ledger's folder; gives their number and their bytes on the disk.

    ``dry_run``: only counts them.

    Raises:
        LedgerError: the ledger's lock cannot be had.
    """
    if not ledger.exists or not any(_candidates(ledger.path)):
        return 0, 0
    count, size = 0, 0
    with ledger.kept_still(exclusive=True):
        for path in list(_candidates(ledger.path)):
            if not _is_abandoned(path):
                continue
            here = allocated(path)
            if not dry_run:
                _remove(path)
            count, size = count + 1, size + here
    return count, size


def _candidates(ledger: Path) -> Iterator[Path]:
    """Files of a backup are looked at inside: other programs call their downloads so, too."""
    compacting = ledger.with_name(f"{ledger.name}{COMPACTING}")
    for path in (compacting, wal_path(compacting), compacting.with_name(f"{compacting.name}.tmp")):
        if path.exists():
            yield path
    for partial in sorted(ledger.parent.glob(f"*{PARTIAL}")):
        log = wal_path(partial)
        if partial.is_file() and (_is_database(partial) or log.exists()):
            if log.exists():
                yield log
            yield partial


def _is_database(path: Path) -> bool:
    with suppress(LedgerError):
        check_magic(path)
        return True
    return False


def _is_abandoned(path: Path) -> bool:
    """Whether nobody owns it; of a log, whether nobody owns the file that it belongs to."""
    owner = path.with_name(path.name.removesuffix(".wal"))
    if not owner.name.endswith(PARTIAL):
        return True
    try:
        with owned(owner):
            return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
