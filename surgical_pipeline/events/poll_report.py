"""What a tick of polling tells people, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from surgical_pipeline.domain.listing import ListedEntity
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.events.changes import Turn
from surgical_pipeline.events.list_state import MAX_TRIES

_NAMED = 5
"""How many of many are named."""
_LISTS = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge requests"}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Announced:
    """``changes``: entities that changed; ``told``: of how many a hook told soon; ``last_at``: its last event."""

    changes: int
    told: int
    last_at: datetime | None

    def sentence(self, now: datetime, *, refused: str = "", expected: bool = False) -> str:
        """How well hooks do; empty if there is nothing to say: no changes, or no hooks and none expected."""
        if not self.changes or not (expected or self.last_at):
            return ""
        last = f"the last {_ago(now - self.last_at)} ago" if self.last_at else "none ever came"
        return f"hooks told of {self.told} of {self.changes} changes, {last}" + (f", {refused}" if refused else "")


@dataclass(slots=True)
class PollReport:
    """Filled in during a tick. Watches are named as in the settings.

    Args:
        refused: hooks that were refused, in words.
        expects_hooks: whether a secret for hooks is set.
        requests: sent to GitLab.
        failed: by watch, the lists that could not be read and why.
        waiting: watches that had no turn.
        went_back: watches that are read again from an earlier time, because the ledger went back.
        settled: entities asked for because they may have changed unseen.
    """

    refused: str = ""
    expects_hooks: bool = False
    requests: int = 0
    watches: int = 0
    settled: int = 0
    outstanding: int = 0
    now: datetime | None = None
    announced: Announced | None = None
    asked: dict[str, int] = field(default_factory=dict)
    failed: dict[str, dict[EntityType, str]] = field(default_factory=dict)
    missed: list[ListedEntity] = field(default_factory=list)
    traceless: list[ListedEntity] = field(default_factory=list)
    left_out: dict[str, datetime] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    went_back: dict[str, datetime] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take_up(self, watch: str, turns: Mapping[EntityType, Turn], *, errors: Mapping[EntityType, str]) -> None:
        """What came of a watch whose turn counts."""
        asked = sum(len(turn.asked) for turn in turns.values())
        if asked:
            self.asked[watch] = asked
        if errors:
            self.failed[watch] = dict(errors)
        for turn in turns.values():
            self.outstanding += turn.outstanding - len(turn.asked)
            self.missed += turn.missed
            self.traceless += turn.traceless

    def __str__(self) -> str:
        sentences = [*self._about_changes(), *self._about_trouble()]
        if self.announced is not None and self.now is not None:
            told = self.announced.sentence(self.now, refused=self.refused, expected=self.expects_hooks)
            sentences += [told] if told else []
        return "; ".join(_begun(sentence) if i == 0 else sentence for i, sentence in enumerate(sentences)) + "."

    @property
    def troubles(self) -> list[str]:
        """What does not come right by itself, a sentence each: for the log, where it stays."""
        found = []
        if self.missed:
            found.append(
                f"given up after {MAX_TRIES} runs that did not bring them up to date: {_names(self.missed)} "
                "(`surgical-pipeline runs list` leads to why)"
            )
        if self.traceless:
            found.append(
                f"asked for more than {MAX_TRIES} times, and no run of it came to the ledger: "
                f"{_names(self.traceless)} (do runs start, and do they write to this ledger?)"
            )
        return found

    def _about_changes(self) -> Iterator[str]:
        if self.asked:
            yield "asked for changes: " + _listed([f"{count} in {watch}" for watch, count in self.asked.items()])
        elif not (self.settled or self.outstanding or any(self._about_trouble())):
            yield f"nothing new in {_counted(self.watches, 'watched entry', 'watched entries')}"
        if self.settled:
            yield f"{_counted(self.settled, 'entity is', 'entities are')} synced again: a change may be unseen"
        if self.outstanding:
            yield f"{_counted(self.outstanding, 'change waits', 'changes wait')} for a run"

    def _about_trouble(self) -> Iterator[str]:
        if self.went_back:
            told = [f"{watch} from {at:%Y-%m-%d %H:%M:%S} UTC" for watch, at in self.went_back.items()]
            yield f"back to what the ledger knows (another ledger, or an older copy of it): {_listed(told)}"
        for watch, lists in self.failed.items():
            reasons = dict.fromkeys(lists.values())
            if len(lists) == len(EntityType) and len(reasons) == 1:
                yield f"the lists of {watch} cannot be read, which keeps its place: {next(iter(reasons))}"
            else:
                yield from (f"the {_LISTS[kind]} of {watch} cannot be read: {why}" for kind, why in lists.items())
        if self.waiting:
            yield f"no time or room was left for {_listed(self.waiting)}, which come first next"
        for watch, at in self.left_out.items():
            yield f"GitLab lists only 50,000 of {watch} with the time {at.isoformat()}: a sweep finds the rest"
        yield from self.troubles
        yield from self.notes


def _names(rows: Sequence[ListedEntity]) -> str:
    return _listed([f"{row.project}{row.key}" for row in rows])


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _ago(passed: timedelta) -> str:
    if passed >= 2 * _DAY:
        return f"{passed // _DAY} days"
    if passed >= 2 * _HOUR:
        return f"{passed // _HOUR} h"
    return f"{max(passed, timedelta()) // timedelta(minutes=1)} min"
