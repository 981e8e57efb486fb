"""Versions of the ledger's schema, and which programs may use a ledger that a newer one has migrated.

A program knows the schema up to the newest migration it has. Each migration states the oldest program that may
still read and write after it (`sql.Migration.oldest_program`), and the ledger keeps that. So older workers go on
while others are updated, and stop before their next window when they may not.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from surgical_pipeline.ledger.errors import LedgerVersionError
from surgical_pipeline.ledger.sql import Migration


def newest_version(migrations: Sequence[Migration]) -> int:
    return migrations[-1].version if migrations else 0


def migrations_due(
    location: Path | str, *, found: int, migrations: Sequence[Migration], read_oldest_program: Callable[[], int]
) -> bool:
    """True if the ledger lacks migrations that this program has.

    ``found``: the version of the ledger's schema. ``read_oldest_program``: asks the ledger which version a program
    must know at least; called only if the ledger is newer than this program.

    Raises:
        LedgerVersionError: the ledger is newer, and this program must leave it alone.
    """
    known = newest_version(migrations)
    if found > known and (needed := read_oldest_program()) > known:
        raise LedgerVersionError(location, found=found, known=known, needed=needed)
    return found < known


def refuse_newer(location: Path | str, *, found: int, migrations: Sequence[Migration]) -> None:
    """For what handles all tables: this program knows too few of a newer ledger, even if it may write to it.

    Raises:
        LedgerVersionError: the ledger has migrations that this program does not know.
    """
    known = newest_version(migrations)
    if found > known:
        raise LedgerVersionError(location, found=found, known=known, needed=found)
