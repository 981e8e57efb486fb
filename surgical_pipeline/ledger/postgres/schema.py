"""The ledger's tables in a PostgreSQL database: their version, migrating them, and the typed views over them.

The views hold no data, so they have no version: a program that does not know them works beside them. They are made
anew after migrations, and where they are missing, as in a ledger that an older program made.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.statements import DATABASE, bare, statement, table_text
from surgical_pipeline.ledger.postgres.turns import LEDGER_TURNS, MIGRATIONS
from surgical_pipeline.ledger.versions import newest_version

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


def views_are_due(found: Look, migrations: Sequence[sql.Migration]) -> bool:
    """Whether they are missing, or of an older version. Who only reads may lack the right to make them."""
    newest = newest_version(migrations)
    if newest < sql.VIEWS_SINCE or found.version > newest:
        return False
    return not found.views or found.version < newest


def oldest_program(connection: Connection) -> int:
    """Which version of the schema a program must know at least; of a ledger that is newer than this program."""
    ((version,),) = connection.execute(statement("read_oldest_program")).fetchall()
    return int(str(version))


def migrate(connection: Connection, migrations: Sequence[sql.Migration], *, now: datetime | None) -> None:
    """Apply missing migrations, each with its record, in the open transaction; others that want to, wait.

    No window that writes is open meanwhile: each has read the version, whose table is locked here. So none goes on
    that looked at the older schema. The transaction must be a new one in which nothing was written.

    ``now``: when they were applied; None: by the server's clock.

    Raises:
        LedgerError: the schema of the typed views belongs to somebody else.
    """
    # What was looked at must not stay locked while this waits for its turn: two would wait for each other.
    connection.execute(bare("roll_back_window"))
    connection.execute(bare("begin_write"))
    connection.execute(statement("take_turn"), {"ledger_turns": LEDGER_TURNS, "turn": MIGRATIONS})
    ((there,),) = connection.execute(bare("find_ledger_schema")).fetchall()
    if not there:
        connection.execute(bare("make_ledger_schema"))
    found = look(connection)
    if 0 < found.version < newest_version(migrations):
        connection.execute(bare("lock_version"))
    for migration in migrations:
        if migration.version > found.version:
            connection.execute(table_text(migration.text))
            connection.execute(
                statement("record_migration"),
                {"version": migration.version, "name": migration.name, "applied_at": now or found.now},
            )
            if migration.oldest_program < migration.version:
                connection.execute(
                    statement("record_oldest_program"),
                    {"version": migration.version, "oldest_program": migration.oldest_program},
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
