"""The ledger's tables in a PostgreSQL database: their version, and migrating them."""

import logging
from collections.abc import Sequence
from datetime import datetime

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.errors import LedgerVersionError
from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.statements import bare, statement, table_text
from surgical_pipeline.ledger.postgres.turns import LEDGER_TURNS, MIGRATIONS

_LOG = logging.getLogger(__name__)


def look(connection: Connection) -> tuple[datetime, int]:
    """The server's time, and the version of the schema; 0: there is none yet."""
    row = connection.execute(bare("look_at_ledger")).fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise AssertionError("the server did not tell its time")
    return row[0], schema_version(connection) if row[1] else 0


def schema_version(connection: Connection) -> int:
    row = connection.execute(statement("read_schema_version")).fetchone()
    return int(str(row[0])) if row else 0


def newest_version(migrations: Sequence[sql.Migration]) -> int:
    return migrations[-1].version if migrations else 0


def check_version(shown: str, *, found: int, migrations: Sequence[sql.Migration]) -> bool:
    """True if migrations are due.

    Raises:
        LedgerVersionError: the ledger is from a newer version of this program.
    """
    known = newest_version(migrations)
    if found > known:
        raise LedgerVersionError(shown, found=found, known=known)
    return found < known


def migrate(connection: Connection, migrations: Sequence[sql.Migration], *, now: datetime | None) -> None:
    """Apply missing migrations, each with its record, in the open transaction; others that want to, wait.

    ``now``: when they were applied; None: by the server's clock.
    """
    connection.execute(statement("take_turn"), {"ledger_turns": LEDGER_TURNS, "turn": MIGRATIONS})
    ((there,),) = connection.execute(bare("find_ledger_schema")).fetchall()
    if not there:
        connection.execute(bare("make_ledger_schema"))
    moment, found = look(connection)
    for migration in migrations:
        if migration.version > found:
            connection.execute(table_text(migration.text))
            connection.execute(
                statement("record_migration"),
                {"version": migration.version, "name": migration.name, "applied_at": now or moment},
            )
            _LOG.info("ledger migrated to version %s (%s)", migration.version, migration.name)
    connection.execute(sql.indexes())
