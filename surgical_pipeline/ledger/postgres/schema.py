"""The ledger's tables in a PostgreSQL database: their version, migrating them, and the typed views over them.

The views hold no data, so they have no version: a program that does not know them works beside them. They are made
anew after migrations, and where they are missing, as in a ledger that an older program made.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.errors import LedgerError, LedgerVersionError
from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.statements import DATABASE, bare, statement, table_text
from surgical_pipeline.ledger.postgres.turns import LEDGER_TURNS, MIGRATIONS

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """``now``: the server's time. ``version``: of the schema; 0: there is none yet. ``views``: it has them."""

    now: datetime
    version: int
    views: bool


def look(connection: Connection) -> Look:
    row = connection.execute(bare("look_at_ledger")).fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise AssertionError("the server did not tell its time")
    return Look(row[0], schema_version(connection) if row[1] else 0, bool(row[2]))


def schema_version(connection: Connection) -> int:
    row = connection.execute(statement("read_schema_version")).fetchone()
    return int(str(row[0])) if row else 0


def newest_version(migrations: Sequence[sql.Migration]) -> int:
    return migrations[-1].version if migrations else 0


def check_version(shown: str, *, found: Look, migrations: Sequence[sql.Migration]) -> bool:
    """True if migrations are due.

    Raises:
        LedgerVersionError: the ledger is from a newer version of this program.
    """
    known = newest_version(migrations)
    if found.version > known:
        raise LedgerVersionError(shown, found=found.version, known=known)
    return found.version < known


def views_are_due(found: Look, migrations: Sequence[sql.Migration]) -> bool:
    """Whether they are missing, or of an older version. Who only reads may lack the right to make them."""
    newest = newest_version(migrations)
    return newest >= sql.VIEWS_SINCE and (not found.views or found.version < newest)


def migrate(connection: Connection, migrations: Sequence[sql.Migration], *, now: datetime | None) -> None:
    """Apply missing migrations, each with its record, in the open transaction; others that want to, wait.

    ``now``: when they were applied; None: by the server's clock.

    Raises:
        LedgerError: the schema of the typed views belongs to somebody else.
    """
    connection.execute(statement("take_turn"), {"ledger_turns": LEDGER_TURNS, "turn": MIGRATIONS})
    ((there,),) = connection.execute(bare("find_ledger_schema")).fetchall()
    if not there:
        connection.execute(bare("make_ledger_schema"))
    found = look(connection)
    for migration in migrations:
        if migration.version > found.version:
            connection.execute(table_text(migration.text))
            connection.execute(
                statement("record_migration"),
                {"version": migration.version, "name": migration.name, "applied_at": now or found.now},
            )
            _LOG.info("ledger migrated to version %s (%s)", migration.version, migration.name)
    connection.execute(sql.indexes())
    if views_are_due(found, migrations):
        _make_views(connection)


def _make_views(connection: Connection) -> None:
    stranger = connection.execute(bare("find_stranger_to_views")).fetchone()
    if stranger is not None:
        raise LedgerError(
            f"The database has a schema gitlab with {stranger[0]}, which is not this program's, and the typed "
            "tables need a schema of that name. Nothing was changed: rename that one, or use another database."
        )
    connection.execute(sql.views(DATABASE))
