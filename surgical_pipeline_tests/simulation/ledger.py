"""What the processes of a simulation share as their ledger, whatever it is stored in."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.simulation.processes import Machine, Process

Answer = tuple[list[str], list[tuple[Any, ...]]]
"""The names of a query's columns, and its rows."""


class StoredLedger(ABC):
    """``after_write`` is called when a write was committed, before anybody else does anything."""

    def __init__(self) -> None:
        self.held_until = 0.0
        """Nobody else has the ledger until then."""
        self.version = 0
        """How many writes were committed."""
        self.answers: dict[object, Answer] = {}
        """What read windows were answered since the last write: most ticks ask what the last one asked."""
        self.after_write: Callable[[Process, str], None] = lambda _process, _purpose: None
        self.tell_broken: Callable[[str], None] = lambda _what: None
        """Called when windows got in each other's way as they must not."""

    @abstractmethod
    def opened_by(self, process: Process, *, timeout_seconds: float = 60.0) -> Ledger:
        """The ledger as one process has it, with moments to be killed in and around its windows.

        ``timeout_seconds``: the longest wait for others.
        """

    @abstractmethod
    def rows(self, text: str, **params: object) -> list[tuple[Any, ...]]:
        """What a query of the simulation itself gives, outside any window."""

    def runs_on(self, machine: Machine) -> None:
        """Where the database's server is, if it has one."""
        del machine

    def hold(self, until: float) -> None:
        """Nobody can use it until then."""
        self.held_until = max(self.held_until, until)

    def rows_since_write(self, text: str) -> list[tuple[Any, ...]]:
        """The same of a query without parameters, asked once until something is written."""
        answer = self.answers.get(text)
        if answer is None:
            answer = self.answers[text] = ([], self.rows(text))
        return answer[1]

    def written(self, process: Process, purpose: str) -> None:
        """A window was committed."""
        self.version += 1
        self.answers.clear()
        self.after_write(process, purpose)


class Database(Protocol):
    """Where each simulation gets a new ledger; made once, for it takes longer than a run.

    ``folder``: for whatever files a simulation needs.
    """

    @property
    def folder(self) -> Path: ...

    def ledger(self, name: str) -> AbstractContextManager[StoredLedger]:
        """A new ledger for as long as the block lasts."""

    def close(self) -> None:
        """Leave nothing of it."""
