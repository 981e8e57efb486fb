"""Thousands of runs within a minute: copies of runs that really happened, with ids and times of their own.

A copy has all that its original has: Dagster's rows, events, checks and files, and the rows of the ledger. So what
it takes on the disk, and what pruning it does, is as for a run that was executed. Copies are numbered after all
runs that the ledger has; to have the newest ones be real, sync once more afterwards.
"""

import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import duckdb

from surgical_pipeline_tests.ledger_gate import held

_TIMES = {"create_timestamp", "update_timestamp", "timestamp", "evaluation_event_timestamp"}
_SECONDS = {"start_time", "end_time"}
_RUN_TIMES = ("create_timestamp", "update_timestamp", "start_time", "end_time")
_LEDGER_TIMES = ("queued_at", "started_at", "heartbeat_at", "finished_at", "cancelled_at")


def multiply(home: Path, originals: Sequence[str], *, count: int, older_by: timedelta) -> list[str]:
    """Copy these runs in turn until there are so many copies, each older than its original by that.

    Gives their ids.
    Nothing may write to ``home`` meanwhile. The ledger is ``ledger.duckdb`` in it.
    """
    ids = [str(uuid.uuid4()) for _ in range(count)]
    pairs = [(originals[number % len(originals)], one) for number, one in enumerate(ids)]
    runs = home / "history" / "runs"
    for database, tables in (
        (home / "history" / "runs.db", ("runs", "run_tags")),
        (runs / "index.db", ("event_logs", "asset_check_executions")),
    ):
        with closing(sqlite3.connect(database)) as connection:
            for table in tables:
                _copy_rows(connection, table, pairs, older_by)
            connection.commit()
    for original, one in pairs:
        _copy_files(home, original, one)
    _copy_in_ledger(home / "ledger.duckdb", pairs, older_by)
    return ids


def age(home: Path, run_ids: Sequence[str], by: timedelta) -> None:
    """Have these runs be older in Dagster and in the ledger. Nothing may write to ``home`` meanwhile."""
    age_in_dagster(home, run_ids, by)
    older = ", ".join(f"{name} = {name} - $by::INTERVAL" for name in _LEDGER_TIMES)
    with held(home / "ledger.duckdb"), duckdb.connect(str(home / "ledger.duckdb")) as ledger:
        ledger.execute(
            f"UPDATE sync_runs SET {older} WHERE run_id = ANY($run_ids)", {"by": by, "run_ids": list(run_ids)}
        )


def age_in_dagster(home: Path, run_ids: Sequence[str], by: timedelta) -> None:
    """The same in Dagster alone."""
    older = ", ".join(f"{name} = {_older(name, by)}" for name in _RUN_TIMES)
    with closing(sqlite3.connect(home / "history" / "runs.db")) as connection:
        connection.executemany(f"UPDATE runs SET {older} WHERE run_id = ?", [(run_id,) for run_id in run_ids])
        connection.commit()


def _copy_rows(
    connection: sqlite3.Connection, table: str, pairs: Sequence[tuple[str, str]], older_by: timedelta
) -> None:
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS pairs (original TEXT, copied TEXT)")
    connection.execute("DELETE FROM pairs")
    connection.executemany("INSERT INTO pairs VALUES (?, ?)", pairs)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
    values = ", ".join(_copied(name, older_by) for name in columns)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT {values} FROM pairs JOIN {table} ON {table}.run_id = pairs.original ORDER BY pairs.rowid"
    )


def _copied(name: str, older_by: timedelta) -> str:
    if name in _TIMES | _SECONDS:
        return _older(name, older_by)
    return f"CASE typeof({name}) WHEN 'text' THEN replace({name}, original, copied) ELSE {name} END"


def _older(name: str, by: timedelta) -> str:
    seconds = by.total_seconds()
    if name in _SECONDS:
        return f"{name} - {seconds}"
    return f"strftime('%Y-%m-%d %H:%M:%f', {name}, '-{seconds} seconds') || '000'"


def _copy_files(home: Path, original: str, one: str) -> None:
    runs, storage = home / "history" / "runs", home / "storage"
    shutil.copyfile(runs / f"{original}.db", runs / f"{one}.db")
    with closing(sqlite3.connect(runs / f"{one}.db")) as connection:
        connection.execute("UPDATE event_logs SET run_id = ?, event = replace(event, ?, ?)", (one, original, one))
        connection.commit()
    if (storage / original).is_dir():
        shutil.copytree(storage / original, storage / one)


def _copy_in_ledger(path: Path, pairs: Sequence[tuple[str, str]], older_by: timedelta) -> None:
    given = {"originals": [pair[0] for pair in pairs], "copies": [pair[1] for pair in pairs], "by": older_by}
    joined = (
        "SELECT unnest($originals) AS original, unnest($copies) AS copied, unnest(range(len($copies))) AS place"
    )
    with held(path), duckdb.connect(str(path)) as ledger:
        older = ", ".join(f"row.{name} - $by::INTERVAL AS {name}" for name in _LEDGER_TIMES)
        ledger.execute(
            f"INSERT INTO sync_runs SELECT row.* REPLACE (copied AS run_id, {older}, "
            f"place + 1 + (SELECT MAX(number) FROM sync_runs) AS number) "
            f"FROM ({joined}) JOIN sync_runs AS row ON row.run_id = original",
            given,
        )
        for table, replaced in (
            ("sync_run_phases", "copied AS run_id"),
            ("entity_outcomes", "copied AS run_id"),
            ("entity_failures", "copied AS run_id"),
        ):
            ledger.execute(
                f"INSERT INTO {table} SELECT row.* REPLACE ({replaced}) "
                f"FROM ({joined}) JOIN {table} AS row ON row.run_id = original",
                {name: given[name] for name in ("originals", "copies")},
            )
        ledger.execute("CHECKPOINT")
