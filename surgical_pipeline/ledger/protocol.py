"""What a ledger promises, whatever it is stored in: windows, and the named queries that run inside one.

Stores, recorder, stages and defs know nothing else of it. `ledger/duckdb/` keeps one in a DuckDB file,
`ledger/postgres/` in a PostgreSQL database.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.ledger.clock import Clock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class Transaction(Protocol):
    """One open transaction. Every query goes through it by its name in ``ledger/sql/*.sql``."""

    @property
    def now(self) -> datetime:
        """When the window began, in UTC: one time for everything written in it."""

    def before_commit(self, work: Callable[[], None]) -> None:
        """Call ``work`` once, when the block has ended and before the commit; what it raises rolls all back."""

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call ``undo``, which resets what an object remembers as written, if the window is not committed."""

    def wait_for_turn(self, query_name: str, /, **params: Any) -> None:
        """Wait until nobody else can write what this query will, if it guards by the present time.

        A time that was told before such a wait is too early after it. A parameter that tells it may be left out.
        """

    def execute(self, query_name: str, /, **params: Any) -> list[tuple[Any, ...]]:
        """Run a named query and return all its rows.

        Args:
            query_name: as written in ``ledger/sql/*.sql``.
            **params: exactly the query's ``$name`` parameters; columns as sequences of one length.

        Raises:
            KeyError: no such query.
            LedgerError: the disk is full, the file damaged, …
        """

    def insert_vectors(self, query_name: str, vectors: "NDArray[np.float32]", /, **params: Any) -> None:
        """Run a named query that stores ``vectors``, an array of shape (n, dimension).

        Args:
            query_name: as for ``execute``.
            vectors: one for each value of the columns among ``params``, in order.
            **params: as for ``execute``.

        Raises:
            KeyError, LedgerError: as for ``execute``.
        """

    def rows(self, query_name: str, /, **params: Any) -> list[dict[str, Any]]:
        """Like ``execute``, each row as a dict by column name."""

    def column(self, query_name: str, /, **params: Any) -> list[Any]:
        """Like ``execute``, the first value of each row."""

    def arrow(self, text: str, params: Mapping[str, Any], /) -> Any:
        """Run a reader's own SQL; gives a ``pyarrow.Table``. Only readers use it: what we write has a name.

        A name without a schema is first looked for among the typed views, then among the ledger's tables.

        Raises:
            ReaderSqlError: the SQL is wrong; on DuckDB its own exception.
            LedgerError: as for ``execute``.
        """


class Ledger(Protocol):
    """One ledger. Threads may share it; making one opens nothing."""

    @property
    def location(self) -> str:
        """Where it is, in words for people."""

    @property
    def clock(self) -> Clock:
        """By which runs give signs of life and are found silent: the same for all machines that use the ledger."""

    @property
    def exists(self) -> bool:
        """Whether anything was ever written. A read of a ledger that does not exist is an error."""

    @property
    def stats(self) -> LockStats:
        """All windows of this object so far, including those that failed after they got the lock."""

    def write(
        self, purpose: str, *, cancelled: threading.Event | None = None
    ) -> AbstractContextManager[Transaction]:
        """A transaction that alone has the ledger: committed at the block's end, rolled back on any exception.

        Keep it short: no network call, no rendering and no embedding inside.

        Args:
            purpose: a word for the log.
            cancelled: when set from another thread, ends the wait for the lock, never an open window.

        Raises:
            LockTimeoutError: others held the ledger for longer than the limit.
            WaitAbandonedError: ``cancelled`` was set first.
            LedgerVersionError: it is from a newer version; it is left as it is.
            LedgerGoneError: this object has seen the ledger before, and it is gone; no new one is created.
            LedgerError: it cannot be used.
        """

    def read(
        self, purpose: str = "read", *, cancelled: threading.Event | None = None
    ) -> AbstractContextManager[Transaction]:
        """A read-only transaction, beside other readers. A ledger of an older version is migrated first.

        Raises:
            LedgerMissingError: nothing was ever written.
            LockTimeoutError, WaitAbandonedError, LedgerVersionError, LedgerError: as for ``write``.
        """

    async def in_write(self, purpose: str, work: Callable[[Transaction], T]) -> T:
        """``work`` in a write window, in a thread, while the event loop goes on.

        A cancellation ends the wait for the lock at once. Work that has begun is committed first.
        """

    async def in_read(self, purpose: str, work: Callable[[Transaction], T]) -> T:
        """Like ``in_write``, in a read window."""
