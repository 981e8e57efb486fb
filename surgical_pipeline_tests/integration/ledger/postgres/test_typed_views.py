"""Making the typed views: beside programs that do not know them, and without harm to what others have."""

from datetime import date, datetime
from typing import Any

import pytest

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline_tests.integration.ledger.examples import at, of_another_process, read_sql, run_sql, start

BEFORE_VIEWS = [one for one in sql.migrations("postgres") if one.version < sql.VIEWS_SINCE]


def views_of(ledger: PostgresLedger) -> int:
    with ledger.read() as tx:
        ((count,),) = read_sql(tx, "SELECT COUNT(*) FROM pg_views WHERE schemaname = 'gitlab'")
    return int(count)


def test_a_ledger_of_the_same_version_without_views_gets_them_and_older_programs_go_on(
    new_ledger: PostgresLedger,
) -> None:
    """As if it were made by a program that knew no views; that one has a run open meanwhile."""
    run = start(new_ledger, "run-1")
    with new_ledger.write("as it was") as tx:
        run_sql(tx, "DROP SCHEMA gitlab CASCADE")
    newer = of_another_process(new_ledger)
    assert isinstance(newer, PostgresLedger)
    assert views_of(newer) == 0, "who only reads makes none"
    with newer.write("sync"):
        pass
    assert views_of(newer) > 30
    with new_ledger.read() as tx:
        assert read_sql(tx, "SELECT MAX(version) FROM schema_migrations") == [(sql.migrations()[-1].version,)]
    assert run.heartbeat_if_due() is not None
    with run.window("goes on"):
        pass


def test_grants_on_the_schema_outlive_an_upgrade_and_views_of_other_versions_go(
    new_ledger: PostgresLedger,
) -> None:
    first = [one for one in new_ledger.schema if one.version <= sql.VIEWS_SINCE]
    with PostgresLedger(new_ledger.address, migrations=first).write("make") as tx:
        run_sql(tx, "GRANT USAGE ON SCHEMA gitlab TO pg_monitor")
        run_sql(tx, "ALTER DEFAULT PRIVILEGES IN SCHEMA gitlab GRANT SELECT ON TABLES TO pg_monitor")
        run_sql(tx, "CREATE VIEW gitlab.of_an_older_version AS SELECT iid FROM gitlab.issues")
    with new_ledger.write("upgrade"):
        pass
    with new_ledger.read() as tx:
        assert read_sql(tx, "SELECT has_table_privilege('pg_monitor', 'gitlab.issues', 'SELECT')") == [(True,)]
        assert read_sql(tx, "SELECT to_regclass('gitlab.of_an_older_version') IS NULL") == [(True,)]


def test_a_schema_of_somebody_else_is_left_alone(new_ledger: PostgresLedger) -> None:
    older = PostgresLedger(new_ledger.address, migrations=BEFORE_VIEWS)
    with older.write("make") as tx:
        run_sql(tx, "CREATE SCHEMA gitlab")
        run_sql(tx, "CREATE TABLE gitlab.issues (theirs INTEGER)")
    with pytest.raises(LedgerError, match="schema gitlab with issues, which is not this program's"):
        new_ledger.write("upgrade").__enter__()
    with older.write("goes on") as tx:
        assert read_sql(tx, "SELECT MAX(version) FROM schema_migrations") == [(sql.VIEWS_SINCE - 1,)]
        run_sql(tx, "DROP TABLE gitlab.issues")
    with new_ledger.write("an empty one is taken"):
        pass
    assert views_of(new_ledger) > 30


NOON, DAY = at(0), date(2026, 5, 4)
OTHER_DIGITS = str.maketrans("0123456789", "".join(map(chr, range(0x660, 0x66A))))
"""Those of Arabic, which a regular expression takes for digits, too."""
NO_TIMES = [
    "2026-02-29",
    "2026-04-31",
    "2026-13-01",
    "2026-00-01",
    "1900-02-29",
    "0000-01-01",
    "99999-01-01",
    "now",
    "infinity",
    "{}",
    "2026-05-04T24:30:00Z",
    "2026-05-04T12:00:60Z",
    "2026-05-04T12:00:00+99:00",
    "",
    "2026-05-04\n",
    "2026-05-04 BC",
    "2026-05-04T12:00:00 Europe/Berlin",
]


@pytest.mark.parametrize(
    ("function", "said", "nothing"),
    [
        (
            "time_of",
            {
                "2026-05-04T12:00:00.000Z": NOON,
                "2026-05-04 14:00:00+02:00": NOON,
                "2026-05-04T08:30:00-0330": NOON,
                "2026-05-04T12:00": NOON,
                "2024-02-29": datetime(2024, 2, 29, tzinfo=NOON.tzinfo),
            },
            NO_TIMES,
        ),
        (
            "day_of",
            {"2026-05-04": DAY, "2026-05-04T12:00:00+02:00": DAY, "2026-05-04T23:59": DAY},
            [*NO_TIMES, "2026-05-32", "2026-05-04 or so", "tomorrow", "20260504", "2026-5-4"],
        ),
        (
            "integer_of",
            {"5": 5, "-5": -5, "007": 7, " 6 ": 6, "5.5": 6, "4.4": 4, "+3": 3, "9" * 18: 10**18 - 1},
            ["", "-", "1e30", "heavy", "9" * 30, "true", "[5]", "5 6", "NaN", "infinity"],
        ),
        (
            "boolean_of",
            {"true": True, "false": False, "T": True, "no": False, "1": True, "0": False},
            ["", "perhaps", "5", "on", "null", "{}"],
        ),
    ],
)
def test_a_text_is_what_it_says_or_null_and_never_an_error(
    ledger: PostgresLedger, function: str, said: dict[str, Any], nothing: list[str]
) -> None:
    other = [text.translate(OTHER_DIGITS) for text in said if text.translate(OTHER_DIGITS) != text]
    asked = [*said, *nothing, *other, None]
    with ledger.read() as tx:
        found = {text: read_sql(tx, f"SELECT gitlab.{function}($text::TEXT)", text=text)[0][0] for text in asked}
    expected: dict[str | None, Any] = dict.fromkeys([*nothing, *other, None])
    assert found == expected | said
