"""A list that moves while it is read, a ledger whose runs go wrong, and the polling between them; time by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from surgical_pipeline.domain.listing import ListedEntity, ListPosition
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.changes import Turn, rows_of_interest, take_turn
from surgical_pipeline.events.list_state import Identity, ListState, Reading, Standing

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TICK = timedelta(seconds=10)


def row(iid: int, updated_at: datetime) -> ListedEntity:
    return ListedEntity(7, "acme/rocket", EntityKey(EntityType.ISSUE, iid), updated_at)


@dataclass
class SimulatedGitLab:
    """``lag``: how much later than it happens a change may show; ``hidden``: rows that a page loses."""

    random: Random
    page_size: int = 3
    lag: timedelta = timedelta()
    hidden: set[int] = field(default_factory=set)
    now: datetime = NOON
    entities: dict[int, datetime] = field(default_factory=dict)
    shown: dict[int, tuple[datetime, datetime]] = field(default_factory=dict)
    """By IID, the version that the list still shows and until when."""

    def change(self, *iids: int) -> None:
        """All of them at one moment."""
        for iid in iids:
            if iid in self.entities and self.lag and self.random.random() < 0.5:
                self.shown[iid] = (self.entities[iid], self.now + self.lag * self.random.random())
            self.entities[iid] = self.now

    def version(self, iid: int) -> datetime:
        older, until = self.shown.get(iid, (self.entities[iid], self.now))
        return older if self.now < until else self.entities[iid]

    def page(self, position: ListPosition) -> tuple[list[ListedEntity], bool]:
        """The rows that are seen, and whether there are more pages."""
        versions = {iid: self.version(iid) for iid in self.entities}
        listed = sorted((at, iid) for iid, at in versions.items() if at >= position.anchor)
        start = (abs(position.page) - 1) * self.page_size
        rows = [row(iid, at) for at, iid in listed[start : start + self.page_size] if iid not in self.hidden]
        return rows, start + self.page_size < len(listed)

    def read(self, begun: ListPosition, *, max_pages: int, between: Callable[[], None] = lambda: None) -> Reading:
        """Up to so many pages; ``between`` is called after each."""
        read_at, position, rows = self.now, begun, list[ListedEntity]()
        ahead: int | None = None
        for _ in range(max_pages):
            page, more = self.page(position)
            ahead = len(rows) if position.page < 0 and ahead is None else ahead
            rows += page
            following = position.after([one.updated_at for one in page], more=more)
            between()
            if following is None:
                return Reading(begun, None, rows, read_at, ahead)
            position = following
        return Reading(begun, position, rows, read_at, ahead)


@dataclass
class SimulatedLedger:
    """``go_wrong``: called with each version that was asked for; how its run ends: ok, failed or lost."""

    gitlab: SimulatedGitLab
    go_wrong: Callable[[int, datetime], str] = lambda _iid, _at: "ok"
    takes: timedelta = timedelta(seconds=15)
    asked: list[tuple[int, datetime]] = field(default_factory=list)
    waiting: list[tuple[datetime, int, str]] = field(default_factory=list)
    stored: dict[int, tuple[datetime, datetime]] = field(default_factory=dict)
    ended: dict[int, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    """By IID, when each of its runs was made and when it ended."""

    def ask(self, rows: list[ListedEntity]) -> None:
        for one in rows:
            self.asked.append((one.key.iid, one.updated_at))
            how = self.go_wrong(one.key.iid, one.updated_at)
            if how != "lost":
                self.waiting.append((self.gitlab.now, one.key.iid, how))

    def work(self) -> None:
        """Runs that were asked for long enough ago end."""
        for made_at, iid, how in [run for run in self.waiting if run[0] + self.takes <= self.gitlab.now]:
            self.waiting.remove((made_at, iid, how))
            self.ended.setdefault(iid, []).append((made_at, self.gitlab.now))
            if how == "ok":
                self.stored[iid] = (self.gitlab.entities[iid], self.gitlab.now)

    def standings(self, rows: list[ListedEntity]) -> dict[Identity, Standing]:
        return {one.identity: self._standing(one) for one in rows}

    def _standing(self, one: ListedEntity) -> Standing:
        iid = one.key.iid
        updated_at, fetched_at = self.stored.get(iid, (None, None))
        ends = [end for made_at, end in self.ended.get(iid, []) if made_at >= one.updated_at]
        return Standing(
            updated_at,
            fetched_at,
            complete=updated_at is not None,
            running=any(run[1] == iid for run in self.waiting),
            tries=len(ends),
            tried_at=max(ends, default=None),
        )


@dataclass
class Polling:
    """Ticks as the sensor makes them, of one list."""

    gitlab: SimulatedGitLab
    ledger: SimulatedLedger
    max_pages: int = 3
    state: ListState = field(default_factory=lambda: ListState.beginning(NOON))
    turns: list[Turn] = field(default_factory=list)

    def tick(self, between: Callable[[], None] = lambda: None) -> Turn:
        reading = self.gitlab.read(self.state.next_position, max_pages=self.max_pages, between=between)
        back_at = self.state.looks_back(self.gitlab.now)
        back = self.gitlab.read(back_at, max_pages=self.max_pages, between=between) if back_at else None
        rows = rows_of_interest(self.state, [reading, back] if back else [reading])
        turn = take_turn(self.state, reading, back, standings=self.ledger.standings(rows), now=self.gitlab.now)
        self.state = turn.state
        self.turns.append(turn)
        self.ledger.ask(turn.asked)
        self.gitlab.now += TICK
        self.ledger.work()
        return turn
