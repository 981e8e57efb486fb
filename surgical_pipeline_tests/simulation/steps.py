"""What happens to a simulated installation from outside: a list of steps, each of them complete in itself.

A schedule is derived from a seed, and any part of it is a schedule again: whom a step concerns is said by a number
that is taken modulo those who are there. So a failing one can be made shorter.
"""

from dataclasses import dataclass
from typing import Literal

EditName = Literal[
    "retitle",
    "describe",
    "relabel",
    "close_or_reopen",
    "note",
    "edit_note",
    "delete_note",
    "emoji",
    "confidential",
    "create_issue",
    "create_merge_request",
    "prepare",
    "backdate",
    "delete",
    "back_up",
    "restore_backup",
]
ProcessName = Literal["daemon", "receiver", "run", "command"]
TroubleName = Literal["429", "500", "502", "slow", "no connection", "broken JSON"]


@dataclass(frozen=True, slots=True)
class HookFate:
    """What becomes of the deliveries of one edit: how many arrive, and after how many seconds each."""

    delays: tuple[float, ...] = (0.2,)


@dataclass(frozen=True, slots=True)
class Edit:
    """Somebody changes something in GitLab. ``which`` chooses the entity, ``value`` the new value."""

    at: float
    what: EditName
    which: int
    value: int
    hooks: HookFate = HookFate()


@dataclass(frozen=True, slots=True)
class Kill:
    """The ``which``-th such process is killed, after so many more of its points."""

    at: float
    process: ProcessName
    which: int
    points: int


@dataclass(frozen=True, slots=True)
class Stall:
    """The ``which``-th run's process stands still for so long, after so many more of its points."""

    at: float
    which: int
    points: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """The next ``times`` requests to GitLab, after ``skip`` good ones, go wrong."""

    at: float
    what: TroubleName
    times: int
    skip: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Lag:
    """One of ``every`` answers comes from a replica that is so many seconds late; 0: no lag from now on."""

    at: float
    seconds: int
    every: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A long window or a DuckDB shell has the ledger for so long."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SetClock:
    """Somebody sets the clock of a machine, to so many seconds ahead of the true time."""

    at: float
    which: int
    ahead: float


@dataclass(frozen=True, slots=True)
class Sync:
    """A person launches a run of these entities. ``only_changed`` as in its config."""

    at: float
    which: tuple[int, ...]
    only_changed: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """A person cancels the ``which``-th run that has not ended."""

    at: float
    which: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """A person re-executes the last failed run from its failed stage."""

    at: float


@dataclass(frozen=True, slots=True)
class StartBackfill:
    """A person launches a backfill of these entities, ``chunk`` in a run; of none: of all that GitLab lists.

    ``again``: the person tries again that much later, if the command says nothing of a launch. ``dies_in``:
    the first command is killed after so many of its points; None: it is not.
    """

    at: float
    which: tuple[int, ...]
    chunk: int
    only_changed: bool
    again: float
    dies_in: int | None = None


@dataclass(frozen=True, slots=True)
class CancelBackfill:
    """A person cancels the ``which``-th backfill."""

    at: float
    which: int


@dataclass(frozen=True, slots=True)
class FailBackfill:
    """Something of Dagster's own fails, which ends the ``which``-th backfill with all its runs."""

    at: float
    which: int


@dataclass(frozen=True, slots=True)
class ResumeBackfill:
    """A person resumes the ``which``-th backfill, if it is over. ``thinks``: before saying yes to the plan."""

    at: float
    which: int
    thinks: float


@dataclass(frozen=True, slots=True)
class Retry:
    """A person retries what failed in the ``which``-th run of a backfill that has ended."""

    at: float
    which: int


PeopleStep = Sync | GoOn | StartBackfill | CancelBackfill | FailBackfill | ResumeBackfill | Retry
"""What people ask for."""
Step = Edit | Kill | Stall | Trouble | Lag | Hold | SetClock | Cancel | PeopleStep
