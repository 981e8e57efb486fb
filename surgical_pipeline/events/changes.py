"""From what two lists gave, what the ledger knows and what is remembered, to what is to be synced.

A row of a list is *new* if it changed after all that was seen before: it is asked for at once. Lists are read with
an overlap, for a row may show up late. What the ledger has in this version is done, and the rest is *outstanding*:
asked for again after a while, until the ledger has it or three runs ended without it. Single rows are not
remembered: of all that is outstanding only the oldest time is, and the lists are read from there again.

All times are GitLab's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from surgical_pipeline.domain.listing import ListedEntity
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.events.watch_state import (
    AHEAD,
    MAX_TRIES,
    NEVER,
    UNKNOWN,
    Identity,
    ListState,
    Reading,
    Standing,
    WatchState,
    backoff,
    begins_by,
)


@dataclass(slots=True)
class Turn:
    """What one look at a watch comes to.

    Args:
        state: what to remember.
        asked: what to sync now.
        missed: what is given up, because so many runs did not bring it.
        traceless: what is given up, because no run that was asked for ever showed up in the ledger.
        outstanding: how many changes are being waited for, those asked now included.
    """

    state: WatchState
    asked: list[ListedEntity] = field(default_factory=list)
    missed: list[ListedEntity] = field(default_factory=list)
    traceless: list[ListedEntity] = field(default_factory=list)
    outstanding: int = 0


def rows_of_interest(state: WatchState, readings: Iterable[Reading]) -> list[ListedEntity]:
    """Each entity once, in its newest version: what the ledger has to be asked about."""
    newest: dict[Identity, ListedEntity] = {}
    for row in (row for reading in readings for row in reading.rows):
        if state.floor is not None and row.updated_at <= state.floor:
            continue
        known = newest.get(row.identity)
        if known is None or row.updated_at > known.updated_at:
            newest[row.identity] = row
    return sorted(newest.values(), key=lambda row: (row.updated_at, row.identity))


def take_turn(
    state: WatchState,
    readings: Sequence[Reading],
    *,
    backs: Sequence[Reading] = (),
    standings: Mapping[Identity, Standing],
    now: datetime,
) -> Turn:
    """Decide about every row, and what to remember. The same input gives the same turn.

    Args:
        state: what was remembered before.
        readings: of both lists, from their ``next_position``; one that failed from the start may be missing.
        backs: of both lists, from ``looks_back``.
        standings: by entity; one that is missing is not known to the ledger.
        now: GitLab's present time.
    """
    lists = {kind: state.of(kind) for kind in EntityType}
    lists |= {reading.entity_type: _list_after(lists[reading.entity_type], reading, now) for reading in readings}
    turn = Turn(replace(state, issues=lists[EntityType.ISSUE], merge_requests=lists[EntityType.MERGE_REQUEST]))
    held: list[ListedEntity] = []
    for row in rows_of_interest(state, [*readings, *backs]):
        if lists[row.key.entity_type].mark < row.updated_at <= now + AHEAD:
            continue  # only the look back saw it: the reading of the list comes to it
        standing = standings.get(row.identity, UNKNOWN)
        if standing.has(row.updated_at):
            continue
        if standing.tries >= MAX_TRIES:
            turn.missed.append(row)
        elif _leaves_no_trace(state, row, standing, now=now):
            turn.traceless.append(row)
        else:
            held.append(row)
            if _is_asked(state, row, standing, now=now):
                turn.asked.append(row)
    turn.outstanding = len(held)
    _remember(turn, state, readings=readings, backs=backs, held=held, standings=standings, now=now)
    return turn


def _list_after(state: ListState, reading: Reading, now: datetime) -> ListState:
    if reading.read_at is None:
        return state
    seen = [row.updated_at for row in reading.rows if row.updated_at <= now + AHEAD]
    if reading.position is None:
        seen.append(reading.read_at)
    return ListState(
        mark=max([min(state.mark, now + AHEAD), *seen]),
        started=reading.read_at if state.position is None else state.started,
        position=reading.position,
    )


def _is_new(state: WatchState, row: ListedEntity, now: datetime) -> bool:
    return state.of(row.key.entity_type).mark < row.updated_at <= now + AHEAD


def _is_asked(state: WatchState, row: ListedEntity, standing: Standing, *, now: datetime) -> bool:
    if _is_new(state, row, now):
        return not standing.queued  # a run that is at work may have fetched it before it changed
    if standing.queued or standing.running:
        return False
    if standing.tried_at is not None:
        return now >= standing.tried_at + backoff(standing.tries)
    # What changed since the last look may have been asked for a moment ago, so that its run is not known yet.
    recent = state.looked_at is not None and state.looked_at < row.updated_at <= now + AHEAD
    return state.is_due(now) and not recent


def _leaves_no_trace(state: WatchState, row: ListedEntity, standing: Standing, *, now: datetime) -> bool:
    """Whether the oldest change was asked for often enough, and the ledger shows no run of it."""
    if standing.tries or standing.queued or standing.running or state.since is None:
        return False
    return state.tries >= MAX_TRIES and state.is_due(now) and row.updated_at <= min(state.since, now)


def _remember(
    turn: Turn,
    state: WatchState,
    *,
    readings: Sequence[Reading],
    backs: Sequence[Reading],
    held: Sequence[ListedEntity],
    standings: Mapping[Identity, Standing],
    now: datetime,
) -> None:
    """Set what is outstanding in the turn's state."""
    floor = max([row.updated_at for row in turn.traceless], default=state.floor)
    if floor is not None and all(turn.state.of(kind).next_position.anchor > floor for kind in EntityType):
        floor = None  # the lists are read from a later time on anyway
    since, page = _oldest_outstanding(state, readings, backs=backs, held=held)
    if since is None:
        turn.state = replace(turn.state, since=None, page=1, looked_at=None, tries=0, floor=floor)
        return
    looked_at, tries = state.looked_at, state.tries
    if state.since is None or (state.is_due(now) and _was_read(state, readings, backs=backs)):
        looked_at = now
        tries += any(
            row.updated_at == state.since and not standings.get(row.identity, UNKNOWN).tries for row in turn.asked
        )
    if (since, page) != (state.since, state.page):
        tries = 1
    turn.state = replace(turn.state, since=since, page=page, looked_at=looked_at, tries=tries, floor=floor)


def _oldest_outstanding(
    state: WatchState, readings: Sequence[Reading], *, backs: Sequence[Reading], held: Sequence[ListedEntity]
) -> tuple[datetime | None, int]:
    """The oldest change that is held or was not read now, and the page to read it from."""
    times = [row.updated_at for row in held]
    pages = [1]
    if state.since is not None:
        for kind in EntityType:
            unread = _unread_from(state, [*readings, *backs], kind)
            if unread <= state.of(kind).mark:
                times.append(unread)
        if not any(row.updated_at == state.since for row in held):
            stopped = [one.position for one in backs if one.position and one.position.anchor == state.since]
            pages += [position.page for position in stopped]
    since = min(times, default=None)
    return since, max(pages) if since == state.since else 1


def _unread_from(state: WatchState, readings: Sequence[Reading], kind: EntityType) -> datetime:
    """The time from which on rows of this list may be outstanding that were not read now."""
    unread = state.since or NEVER
    for reading in sorted(readings, key=lambda reading: reading.begun.anchor):
        if reading.entity_type is kind and begins_by(reading.begun, unread, page=state.page):
            unread = max(unread, reading.known_until)
    return unread


def _was_read(state: WatchState, readings: Sequence[Reading], *, backs: Sequence[Reading]) -> bool:
    """Whether both lists were read from the oldest outstanding change on."""
    read = {
        reading.entity_type
        for reading in (*readings, *backs)
        if reading.read_at is not None and begins_by(reading.begun, state.since or NEVER, page=state.page)
    }
    return len(read) == len(EntityType)
