"""One tick of polling: look at the lists, ask the ledger about their rows, and say what is to be synced."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from surgical_pipeline.defs.event_loop import run_async
from surgical_pipeline.defs.gateways import open_gitlab
from surgical_pipeline.defs.list_looks import ListLook, Looks, look_at_lists
from surgical_pipeline.domain.foreign_text import on_one_line
from surgical_pipeline.domain.listing import ListedEntity
from surgical_pipeline.domain.scope import CHUNK_SIZE, EntityKey, EntityType, Scope
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.changes import Standings, Turn, rows_of_interest, take_turn
from surgical_pipeline.events.list_state import OVERLAP, Identity, ListState
from surgical_pipeline.events.poll_cursor import CursorError, PollCursor, States, fit, key_of
from surgical_pipeline.events.poll_report import PollReport
from surgical_pipeline.events.settling import Unsettled
from surgical_pipeline.gitlab.pacing import Priority
from surgical_pipeline.ledger.inbox import load_deliveries
from surgical_pipeline.ledger.polling import (
    SOON,
    WatchedProject,
    count_announced,
    load_standings,
    load_watched_projects,
)
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import mark_of, went_back
from surgical_pipeline.ledger.settling import due_entities
from surgical_pipeline.settings import Settings

MAX_ASKED = 2000
"""Entities that one tick asks for, if they come from more than one watch: Dagster takes 0.3 s to submit a run."""
SETTLE_EVERY = timedelta(seconds=30)
"""A run that was asked for is in the ledger by then, so that nothing is asked for twice."""
_HOOKS_OVER = timedelta(hours=24)


@dataclass(slots=True)
class Tick:
    """What a tick comes to: ``scopes`` of one project and at most ``CHUNK_SIZE`` entities each."""

    cursor: str
    scopes: list[Scope]
    report: PollReport
    now: datetime


@dataclass(slots=True)
class _Known:
    """What the ledger says, all of it read in one window."""

    mark: str = ""
    older: bool = False
    standings: Standings = field(default_factory=dict)
    projects: Sequence[WatchedProject] = ()
    due: Sequence[Unsettled] = ()


Look = Callable[[Sequence[Watch], States], Looks]
"""Looks at the lists of these watches, of which that is remembered."""


class Poll:
    """One tick. ``look``: the part of it that asks GitLab; by default the configured one.

    Raises:
        SettingsError: GitLab's settings are missing or wrong.
    """

    def __init__(self, settings: Settings, ledger: Ledger, *, look: Look | None = None) -> None:
        self._settings = settings
        self._ledger = ledger
        self._look = look or self._look_at_gitlab
        self._watches = settings.watches
        self._since = settings.since
        self._unreadable = False
        self._report = PollReport(expects_hooks=settings.expects_hooks)

    def tick(self, text: str | None) -> Tick:
        """The tick after the one whose cursor this is.

        Raises:
            LedgerError: the ledger cannot be read now; nothing is lost, the next tick does the same.
        """
        cursor = self._cursor(text)
        order = self._in_turn(cursor.turn)
        looks = self._look(order, cursor.states)
        known = self._ask_ledger(cursor, looks)
        if known.older:
            return self._gone_back(cursor, known, looks.now)
        asked, cursor = self._decide(cursor, order, looks=looks, known=known)
        self._report.requests = looks.requests
        self._report.watches = len(self._watches)
        return Tick(str(cursor), list(_scopes(asked)), self._report, looks.now)

    def _look_at_gitlab(self, watches: Sequence[Watch], states: States) -> Looks:
        gitlab = open_gitlab(self._settings, priority=Priority.SENSORS)
        return run_async(lambda: look_at_lists(gitlab, watches, states, since=self._since))

    def _cursor(self, text: str | None) -> PollCursor:
        try:
            cursor = PollCursor.parse(text) if text else PollCursor()
        except CursorError as error:
            self._report.notes.append(str(error))
            self._unreadable = True
            return PollCursor()
        watched = {key_of(watch) for watch in self._watches}
        return replace(cursor, states={key: state for key, state in cursor.states.items() if key in watched})

    def _in_turn(self, turn: int) -> list[Watch]:
        start = turn % len(self._watches)
        return [*self._watches[start:], *self._watches[:start]]

    def _ask_ledger(self, cursor: PollCursor, looks: Looks) -> _Known:
        if not self._ledger.exists:
            return _Known(older=bool(cursor.ledger) or self._unreadable)
        with self._ledger.read("poll") as tx:
            known = _Known(mark_of(tx))
            known.older = self._unreadable or (bool(cursor.ledger) and went_back(tx, cursor.ledger))
            known.projects = load_watched_projects(tx)
            if known.older:
                return known
            watched = [project for project in known.projects if self._is_watched(project)]
            if looks.now >= cursor.settled_at + SETTLE_EVERY:
                ids = [project.project_id for project in watched]
                known.due = due_entities(tx, now=looks.now, projects=ids)
            rows = [row for lists in looks.lists.values() for look in lists for row in _rows(look)]
            known.standings = load_standings(tx, rows, ahead=looks.ahead)
            self._report.announced = count_announced(
                tx,
                [project.project_id for project in watched],
                since=looks.now - _HOOKS_OVER,
                until=looks.now - SOON,
                ahead=looks.ahead,
            )
            self._report.refused = load_deliveries(tx).refusals(looks.now - looks.ahead - _HOOKS_OVER)
            self._report.now = looks.now
        return known

    def _is_watched(self, project: WatchedProject) -> bool:
        return any(watch.covers(project.project_id, project.path) for watch in self._watches)

    def _gone_back(self, cursor: PollCursor, known: _Known, now: datetime) -> Tick:
        """Another ledger, or an older copy: go back to what this one knows. The next tick reads on from there."""
        states = dict(cursor.states)
        for watch in self._watches:
            fetches = [
                project.fetched_at
                for project in known.projects
                if project.fetched_at and watch.covers(project.project_id, project.path)
            ]
            at = max(fetches) - OVERLAP if fetches else self._since
            if at is not None:
                state = states.get(key_of(watch), {})
                states[key_of(watch)] = {kind: _back_to(at, state.get(kind)) for kind in EntityType}
                self._report.went_back[str(watch)] = min(one.mark for one in states[key_of(watch)].values())
        if not self._report.went_back:
            self._report.notes.append(
                "The ledger is not the one of the last tick, or an older copy of it, and knows nothing of what is "
                "watched: set SURGICAL_SINCE to the time from which on changes matter, then reset the cursor"
            )
        return Tick(str(replace(cursor, ledger=known.mark, states=states)), [], self._report, now)

    def _decide(
        self, cursor: PollCursor, order: Sequence[Watch], *, looks: Looks, known: _Known
    ) -> tuple[list[ListedEntity], PollCursor]:
        """What is asked for, and the next cursor: a watch's state changes only together with what it asks for."""
        states = dict(cursor.states)
        asked: dict[Identity, ListedEntity] = {}
        waiting: list[Watch] = []
        for watch in order:
            turns = _turns(looks.lists.get(watch, ()), known.standings, looks.now)
            wanted = {row.identity: row for turn in turns.values() for row in turn.asked}
            state = {**states.get(key_of(watch), {}), **{kind: turn.state for kind, turn in turns.items()}}
            changed = {**states, key_of(watch): state}
            full = bool(asked) and len(asked | wanted) > MAX_ASKED
            if watch not in looks.lists or full or not fit(changed):
                waiting.append(watch)
                continue
            self._tell(watch, looks.lists[watch], turns)
            states = changed if state else states
            asked |= wanted
        settled = [one for one in known.due if one.identity not in asked]
        asked |= {
            one.identity: ListedEntity(one.project_id, one.project, one.key, one.updated_at) for one in settled
        }
        self._report.settled = len(settled)
        self._report.waiting = [str(watch) for watch in waiting]
        following = self._watches.index(waiting[0]) if waiting else cursor.turn + 1
        return list(asked.values()), PollCursor(
            ledger=known.mark,
            turn=following % len(self._watches),
            settled_at=looks.now if settled else cursor.settled_at,
            states=states,
        )

    def _tell(self, watch: Watch, lists: Sequence[ListLook], turns: Mapping[EntityType, Turn]) -> None:
        errors = {look.kind: on_one_line(look.error.reason) for look in lists if look.error}
        self._report.take_up(str(watch), turns, errors=errors)
        self._report.left_out |= {str(watch): at for look in lists for at in look.left_out}


def _rows(look: ListLook) -> list[ListedEntity]:
    if look.state is None or look.reading is None:
        return []
    return rows_of_interest(look.state, [look.reading, look.back] if look.back else [look.reading])


def _turns(lists: Sequence[ListLook], standings: Standings, now: datetime) -> dict[EntityType, Turn]:
    """By list; one that was only begun has a turn that asks for nothing."""
    found = {}
    for look in lists:
        if look.state is not None and look.reading is not None:
            found[look.kind] = take_turn(look.state, look.reading, look.back, standings=standings, now=now)
        elif look.state is not None and look.error is None:
            found[look.kind] = Turn(look.state)
    return found


def _back_to(at: datetime, state: ListState | None) -> ListState:
    """As far back as that, and never further on than before."""
    if state is None:
        return ListState.beginning(at)
    return ListState.beginning(min(at, state.mark, state.since or state.mark))


def _scopes(asked: Sequence[ListedEntity]) -> Iterator[Scope]:
    """Of one project each; under the path that its newest row has."""
    by_project: dict[int, dict[EntityKey, ListedEntity]] = {}
    for row in sorted(asked, key=lambda row: row.updated_at):
        by_project.setdefault(row.project_id, {})[row.key] = row
    for rows in by_project.values():
        *_, newest = rows.values()
        scope = Scope.of(
            newest.project,
            issue_iids=(key.iid for key in rows if key.entity_type is EntityType.ISSUE),
            mr_iids=(key.iid for key in rows if key.entity_type is EntityType.MERGE_REQUEST),
        )
        yield from scope.chunks(CHUNK_SIZE)
