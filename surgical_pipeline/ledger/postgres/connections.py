"""Connections of this process to one ledger, kept between windows: making one takes longer than a window."""

import contextlib
import os
import threading
import time
import weakref
from weakref import WeakValueDictionary

import psycopg
from psycopg.pq import TransactionStatus

from surgical_pipeline.ledger.errors import LedgerError, WaitAbandonedError
from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.faults import fault, reason_of
from surgical_pipeline.ledger.postgres.values import Adapting

Connection = psycopg.Connection[tuple[object, ...]]

MOST_KEPT = 4
"""Idle connections; a burst of windows may use more."""

_RETRY_SECONDS = 0.5
_CANCEL_CHECK_SECONDS = 0.1
_IDLE_MS = 600_000
"""A transaction in which nothing happens for so long is ended by the server, with its locks: its process hangs."""
_ALIVE = (
    "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 -c tcp_user_timeout=50000"
)
"""The server's side of what `address` asks for: a machine that is gone in mid-window keeps its locks no longer."""


class Connections:
    """Threads share them, a connection has one user at a time. A child of a fork uses none of its parent's."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._guard = threading.Lock()
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self._served = False
        weakref.finalize(self, _close_all, self._idle)

    def take(self, *, timeout_seconds: float, cancelled: threading.Event | None = None) -> tuple[Connection, bool]:
        """A connection without a transaction; and whether it is fresh, so that the server was there just now.

        A server that this process has reached before may be restarting: it is waited for. One that was never
        reached is an error at once.

        Raises:
            LedgerError: the server cannot be reached, within the time.
            WaitAbandonedError: ``cancelled`` was set.
        """
        with self._guard:
            if self._process != os.getpid():
                self._idle, self._process = [], os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection, False
        return self.fresh(timeout_seconds=timeout_seconds, cancelled=cancelled), True

    def fresh(self, *, timeout_seconds: float, cancelled: threading.Event | None = None) -> Connection:
        """A new connection; errors as for ``take``."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                connection = self._connect(timeout_seconds)
            except psycopg.Error as error:
                if not self._served or time.monotonic() + _RETRY_SECONDS > deadline or not _may_pass(error):
                    raise self._unreachable(error, timeout_seconds) from error
            else:
                self._served = True
                return connection
            if (cancelled or threading.Event()).wait(_RETRY_SECONDS):
                raise WaitAbandonedError(f"The wait for the ledger {self.address.shown} was called off.")

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next window, unless it is broken or there are enough."""
        sound = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
        with self._guard:
            if sound and len(self._idle) < MOST_KEPT and self._process == os.getpid():
                self._idle.append(connection)
                return
        close(connection)

    def forget(self) -> None:
        """Close all idle ones: the server was restarted, or is about to be."""
        with self._guard:
            idle, self._idle[:] = list(self._idle), []
        _close_all(idle)

    def _connect(self, timeout_seconds: float) -> Connection:
        ours = (
            f"-c search_path=main -c TimeZone=UTC -c lock_timeout={max(1, round(timeout_seconds * 1000))} "
            f"-c idle_in_transaction_session_timeout={_IDLE_MS} -c client_min_messages=error {_ALIVE}"
        )
        parameters = dict(self.address.parameters)
        parameters["options"] = f"{parameters.get('options') or ''} {ours}".strip()
        # Statements are not prepared on the server: plans would outlive a migration that another process makes.
        return psycopg.connect(**parameters, autocommit=True, prepare_threshold=None, context=Adapting())

    def _unreachable(self, error: psycopg.Error, timeout_seconds: float) -> LedgerError:
        found = fault(self.address.shown, error, timeout_seconds=timeout_seconds)
        return found or LedgerError(f"The ledger {self.address.shown} cannot be opened: {reason_of(error)}.")


def close(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.close()


def _close_all(connections: list[Connection]) -> None:
    for connection in connections:
        close(connection)


def _may_pass(error: psycopg.Error) -> bool:
    """Whether a later try may succeed: not if the password is wrong or there is no such database."""
    return not isinstance(
        error, psycopg.errors.InvalidAuthorizationSpecification | psycopg.errors.InvalidCatalogName
    )


_all: WeakValueDictionary[str, Connections] = WeakValueDictionary()
_all_guard = threading.Lock()


def connections_to(address: Address) -> Connections:
    """This process's connections to a ledger: kept as long as something references them."""
    with _all_guard:
        found = _all.get(address.text)
        if found is None:
            found = _all[address.text] = Connections(address)
        return found
