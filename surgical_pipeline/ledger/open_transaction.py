"""What every open transaction on a ledger does in the same way, whatever the ledger is stored in."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any


class OpenTransaction(ABC):
    """`ledger.protocol.Transaction` without the database: its time, what waits for its end, shapes of answers."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._last: list[Callable[[], None]] = []
        self._undo: list[Callable[[], None]] = []

    @property
    def now(self) -> datetime:
        return self._now

    def before_commit(self, work: Callable[[], None]) -> None:
        self._last.append(work)

    def complete(self) -> None:
        """The block has ended: call what waited for that, in order."""
        while self._last:
            self._last.pop(0)()

    def on_rollback(self, undo: Callable[[], None]) -> None:
        self._undo.append(undo)

    def committed(self) -> None:
        """Drop the undos: what they refer to may refer to this, and would stay until garbage is collected."""
        self._undo.clear()

    def forget(self) -> None:
        """The window was rolled back: call the remembered undos, the latest first."""
        while self._undo:
            self._undo.pop()()

    def execute(self, query_name: str, /, **params: Any) -> list[tuple[Any, ...]]:
        return self._run(query_name, params)[1]

    def rows(self, query_name: str, /, **params: Any) -> list[dict[str, Any]]:
        names, rows = self._run(query_name, params)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def column(self, query_name: str, /, **params: Any) -> list[Any]:
        return [row[0] for row in self.execute(query_name, **params)]

    @abstractmethod
    def wait_for_turn(self, query_name: str, /, **params: Any) -> None:
        """Wait until nobody else can write what this query will."""

    @abstractmethod
    def _run(self, query_name: str, params: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of its columns, and its rows; both empty if it gives none."""
