"""The ledger's tables in a PostgreSQL database: their version, and migrating them."""

import logging
from collections.abc import Sequence
from datetime import datetime

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.statements import bare, statement, table_text
from surgical_pipeline.ledger.postgres.turns import LEDGER_TURNS, MIGRATIONS
from surgical_pipeline.ledger.versions import newest_version

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


def oldest_program(connection: Connection) -> int:
    """Which version of the schema a program must know at least; of a ledger that is newer than this program."""
    ((version,),) = connection.execute(statement("read_oldest_program")).fetchall()
    return int(str(version))


def migrate(connection: Connection, migrations: Sequence[sql.Migration], *, now: datetime | None) -> None:
    """Apply missing migrations, each with its record, in the open transaction; others that want to, wait.

    No window that writes is open meanwhile: each has read the version, whose table is locked here. So none goes on
    that looked at the older schema. The transaction must be a new one in which nothing was written.

    ``now``: when they were applied; None: by the server's clock.
    """
    # What was looked at must not stay locked while this waits for its turn: two would wait for each other.
    connection.execute(bare("roll_back_window"))
    connection.execute(bare("begin_write"))
    connection.execute(statement("take_turn"), {"ledger_turns": LEDGER_TURNS, "turn": MIGRATIONS})
    ((there,),) = connection.execute(bare("find_ledger_schema")).fetchall()
    if not there:
        connection.execute(bare("make_ledger_schema"))
    moment, found = look(connection)
    if 0 < found < newest_version(migrations):
        connection.execute(bare("lock_version"))
    for migration in migrations:
        if migration.version > found:
            connection.execute(table_text(migration.text))
            connection.execute(
                statement("record_migration"),
                {"version": migration.version, "name": migration.name, "applied_at": now or moment},
            )
            if migration.oldest_program < migration.version:
                connection.execute(
                    statement("record_oldest_program"),
                    {"version": migration.version, "oldest_program": migration.oldest_program},
                )
            _LOG.info("ledger migrated to version %s (%s)", migration.version, migration.name)
    connection.execute(sql.indexes())
