"""What pruning is asked for, and what it comes to: values."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.moments import length_of

DEFAULT_AGE = "30d"
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=36_500)
MANY_RUNS = 5_000
MANY_BYTES = 1_000_000_000
"""From either on, `doctor` recommends pruning."""


class PruneError(ValueError):
    """What is asked for cannot be understood; the message says so in a sentence."""


def parse_age(text: str) -> timedelta:
    """An age such as ``30d``, ``12h``, ``2w`` or ``90m``.

    Raises:
        PruneError: it is none, or shorter than a minute or longer than a century.
    """
    age = length_of(text)
    if age is None or not SHORTEST <= age <= LONGEST:
        raise PruneError(f"an age is a number with m, h, d or w behind it, such as 30d or 12h, not {text!r}")
    return age


def parse_triggers(text: str) -> frozenset[Trigger]:
    """Triggers by their names, with commas between them.

    Raises:
        PruneError: one of them is none, or there are none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Trigger)]
    if unknown or not names:
        raise PruneError(f"a trigger is one of {', '.join(Trigger)}, not {', '.join(unknown) or text!r}")
    return frozenset(map(Trigger, names))


class PruneWish(BaseModel):
    """Runs that ended ``before``, of these ``triggers``. ``dry_run``: only tell what would go."""

    model_config = ConfigDict(frozen=True)

    before: AwareDatetime
    triggers: frozenset[Trigger] = frozenset(Trigger)
    dry_run: bool = False

    @property
    def takes_events(self) -> bool:
        """Events of hooks go with the runs that they asked for."""
        return Trigger.SENSOR in self.triggers


class DagsterPruned(BaseModel):
    """Of Dagster's storage. ``bytes`` are those that the disk had given to the files.

    Args:
        runs: that were deleted in Dagster.
        leftovers: runs that Dagster no longer knew, of which files were left.
        tick_logs: logs of sensors' ticks that were old.
        files: of all these.
        bytes: of these files, and what Dagster's own databases shrank by.
        kept: how many old runs stay, by reason.
    """

    runs: int = 0
    leftovers: int = 0
    tick_logs: int = 0
    files: int = 0
    bytes: int = 0
    kept: dict[str, int] = {}


class LedgerPruned(BaseModel):
    """Of the ledger.

    Args:
        runs: whose rows were deleted, with their stages, outcomes and failures.
        events: that were settled.
        leftovers: files that killed backups and compactions left beside the ledger.
        leftover_bytes: of these.
        bytes_before: of the ledger's file with its log, before.
        bytes_after: the same, after; the space of deleted rows is used again, and `ledger compact` gives it back.
        windows: in which this was written.
        longest_held_ms: for which one of them held the ledger.
        kept: how many old runs stay, by reason.
    """

    runs: int = 0
    events: int = 0
    leftovers: int = 0
    leftover_bytes: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    windows: int = 0
    longest_held_ms: float = 0.0
    kept: dict[str, int] = {}


class PruneReport(BaseModel):
    """What `prune --json` prints. ``dry_run``: nothing was deleted, this is what would be."""

    schema_version: int = 1
    before: AwareDatetime
    triggers: list[str]
    dry_run: bool
    dagster: DagsterPruned
    ledger: LedgerPruned
    seconds: float = 0.0


def by_frequency(reasons: Iterable[str]) -> dict[str, int]:
    """How often each occurs, the most frequent first."""
    return dict(sorted(Counter(reasons).items(), key=lambda item: (-item[1], item[0])))
