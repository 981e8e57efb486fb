"""When requests to GitLab may begin, for all machines that share a ledger: a row for each token.

What the numbers mean is known in `gitlab.common_pacing`, which uses this by its protocol.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg

from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.connections import Connection, close
from surgical_pipeline.ledger.postgres.faults import reason_of
from surgical_pipeline.ledger.postgres.statements import bare, statement
from surgical_pipeline.ledger.postgres.turns import LEDGER_TURNS, MIGRATIONS

T = TypeVar("T")
Times = tuple[float, ...]

_SECONDS = 2
"""Longest wait for the server in each step; requests go on without it meanwhile."""
_PARAMETERS = {
    "application_name": "surgical_pipeline requests",
    "connect_timeout": _SECONDS,
    "tcp_user_timeout": _SECONDS * 1000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
}
_OPTIONS = (
    f"-c statement_timeout={_SECONDS * 1000} -c idle_in_transaction_session_timeout={_SECONDS * 1000} "
    # Whoever is told a place may use it at once: one that a crash takes back costs at most a refusal.
    "-c synchronous_commit=off -c client_min_messages=error"
)


class RequestPacing:
    """Making it opens nothing. One thread at a time; every method but ``location`` raises a ConnectionError."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._kept: Connection | None = None

    @property
    def location(self) -> str:
        return self._address.shown

    def look(self, key: str) -> tuple[Times, float]:
        """The times of that key, and the server's time in seconds since 1970."""
        with self._connection() as connection:
            row = connection.execute(statement("look_at_request_pacing"), {"key": key}).fetchone()
        return self.exchange(key, lambda times, now: (times, (times, now))) if row is None else _read(row)

    def exchange(self, key: str, change: Callable[[Times, float], tuple[Times, T]]) -> T:
        """Replace them while nobody else can; ``change`` gets what ``look`` gives."""
        with self._connection() as connection:
            connection.execute(bare("begin_write"))
            row = connection.execute(statement("lock_request_pacing"), {"key": key}).fetchone()
            if row is None:
                connection.execute(statement("add_request_pacing"), {"key": key})
                row = connection.execute(statement("lock_request_pacing"), {"key": key}).fetchone()
            if row is None:
                raise ConnectionError("somebody deletes what was just written")
            times, result = change(*_read(row))
            paused_until, gap_seconds, spread_until, *next_starts = times
            connection.execute(
                statement("save_request_pacing"),
                {
                    "key": key,
                    "paused_until": paused_until,
                    "gap_seconds": gap_seconds,
                    "spread_until": spread_until,
                    "next_starts": next_starts,
                },
            )
            connection.execute(bare("commit_window"))
            return result

    def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            close(kept)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """One that is kept; after any error another one, so that nothing half done stays open."""
        try:
            if self._kept is None or self._kept.closed:
                self._kept = self._connect()
            yield self._kept
        except psycopg.Error as error:
            self.close()
            raise ConnectionError(f"the ledger {self.location} cannot be asked: {reason_of(error)}") from error
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Connection:
        parameters = self._address.parameters | _PARAMETERS
        parameters["options"] = f"{parameters.get('options') or ''} {_OPTIONS}".strip()
        connection = psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)
        try:
            _make_table(connection)
        except BaseException:
            close(connection)
            raise
        return connection


def _make_table(connection: Connection) -> None:
    """If it is missing: no program of this version was here before, or there is no ledger yet."""
    if connection.execute(bare("find_request_pacing")).fetchone() == (True,):
        return
    connection.execute(bare("begin_write"))
    connection.execute(statement("take_turn"), {"ledger_turns": LEDGER_TURNS, "turn": MIGRATIONS})
    if connection.execute(bare("find_ledger_schema")).fetchone() != (True,):
        connection.execute(bare("make_ledger_schema"))
    connection.execute(bare("make_request_pacing"))
    connection.execute(bare("commit_window"))


def _read(row: tuple[object, ...]) -> tuple[Times, float]:
    """Whatever stands there: what is no number becomes one that nobody takes for a time."""
    now, paused_until, gap_seconds, spread_until, next_starts = row
    starts = next_starts if isinstance(next_starts, list) else []
    times = (paused_until, gap_seconds, spread_until, *starts)
    return tuple(value if isinstance(value, float) else -1.0 for value in times), float(str(now))
