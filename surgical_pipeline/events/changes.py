"""From what a list gave, what the ledger knows and what is remembered, to what is to be synced.

A row of a list is *new* if it changed after all that was seen before: it is asked for at once. Lists are read with
an overlap, for a row may show up late. What the ledger has in this version is done, and the rest is *outstanding*:
asked for again after a while, until the ledger has it or three runs ended without it. Single rows are not
remembered: of all that is outstanding only the oldest time is, and the list is read from there again.

All times are GitLab's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from surgical_pipeline.domain.listing import ListedEntity, to_milliseconds
from surgical_pipeline.events.list_state import (
    AHEAD,
    MAX_TRIES,
    NEVER,
    UNKNOWN,
    Identity,
    ListState,
    Reading,
    Standing,
    backoff,
    begins_by,
)

Standings = Mapping[Identity, Standing]
"""By entity; one that is missing is not known to the ledger."""


@dataclass(slots=True)
class Turn:
    """What one look at a list comes to.

    Args:
        state: what to remember.
        asked: what to sync now.
        missed: what is given up, because so many runs did not bring it.
        traceless: what was asked for as often, and no run of it ever showed up in the ledger. It is asked for on.
        outstanding: how many changes are waited for, those asked now included.
    """

    state: ListState
    asked: list[ListedEntity] = field(default_factory=list)
    missed: list[ListedEntity] = field(default_factory=list)
    traceless: list[ListedEntity] = field(default_factory=list)
    outstanding: int = 0


def rows_of_interest(state: ListState, readings: Iterable[Reading]) -> list[ListedEntity]:
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
    state: ListState, reading: Reading, back: Reading | None = None, *, standings: Standings, now: datetime
) -> Turn:
    """Decide about every row, and what to remember. The same input gives the same turn.

    Args:
        state: what was remembered before.
        reading: from its ``next_position``.
        back: from where it ``looks_back``, if it does.
        standings: of the ``rows_of_interest``.
        now: GitLab's present time.
    """
    readings = [reading, back] if back else [reading]
    rows = [(row, standings.get(row.identity, UNKNOWN)) for row in rows_of_interest(state, readings)]
    new = _new_rows(state, reading, now)
    turn = Turn(_read_on(state, reading, now))
    held: list[ListedEntity] = []
    for row, standing in rows:
        if turn.state.mark < row.updated_at <= now + AHEAD:
            continue  # only the look back saw it: the reading comes to it
        if standing.has(row.updated_at):
            continue
        if standing.tries >= MAX_TRIES:
            if state.since is not None and row.updated_at >= state.since:  # it was waited for until now
                turn.missed.append(row)
            continue
        held.append(row)
        # A run that is at work may have fetched a new row before it changed.
        if not standing.queued if row.identity in new else _is_asked_again(state, row, standing, now=now):
            turn.asked.append(row)
            if standing.leaves_no_trace and row.updated_at == state.since:
                turn.traceless.append(row)
    turn.outstanding = len(held)
    since, page = _oldest_outstanding(state, reading, back, held=held)
    remaining = any(row.updated_at == since for row in held)
    looked_at = now if state.since is None or (state.is_due(now) and remaining) else state.looked_at
    tries = state.tries + bool(turn.traceless) if (since, page) == (state.since, state.page) else 1
    if tries <= MAX_TRIES:
        turn.traceless.clear()
    if since is None:
        looked_at, tries = None, 0
    turn.state = replace(turn.state, since=since, page=page, looked_at=looked_at, tries=min(tries, MAX_TRIES + 1))
    return turn


def _read_on(state: ListState, reading: Reading, now: datetime) -> ListState:
    """How far the list is known after the reading."""
    seen = [row.updated_at for row in reading.rows if row.updated_at <= now + AHEAD]
    if reading.position is None:
        seen.append(reading.read_at)
    following = replace(
        state,
        mark=max([min(state.mark, now + AHEAD), *seen]),
        started=reading.read_at if state.position is None else state.started,
        position=reading.position,
    )
    below = state.floor is not None and following.next_position.anchor > state.floor
    return replace(following, floor=None) if below else following


def _new_rows(state: ListState, reading: Reading, now: datetime) -> set[Identity]:
    """What is seen for the first time; of many rows with one time, those behind the page that was read last."""
    position = state.position
    further = position.anchor if position and position.page > 1 and position.anchor >= state.mark else None
    behind = (row for row in reading.rows[: reading.ahead] if to_milliseconds(row.updated_at) == further)
    later = (row for row in reading.rows if state.mark < row.updated_at <= now + AHEAD)
    return {row.identity for rows in (behind, later) for row in rows}


def _is_asked_again(state: ListState, row: ListedEntity, standing: Standing, *, now: datetime) -> bool:
    if standing.queued or standing.running:
        return False
    if standing.tried_at is not None:
        return now >= standing.tried_at + backoff(standing.tries)
    # What changed since the last look may have been asked for a moment ago, so that its run is not known yet.
    recent = state.looked_at is not None and state.looked_at < row.updated_at <= now + AHEAD
    return state.is_due(now) and not recent


def _oldest_outstanding(
    state: ListState, reading: Reading, back: Reading | None, *, held: Sequence[ListedEntity]
) -> tuple[datetime | None, int]:
    """The oldest change that is held, or was not read now; and the page to read it from."""
    times = [row.updated_at for row in held]
    unread, page = state.since or NEVER, state.page
    for one in sorted([reading, back] if back else [reading], key=lambda one: one.begun.anchor):
        if not begins_by(one.begun, unread, page=state.page):
            continue
        stopped = one.position
        here = stopped.page if stopped and stopped.anchor == state.since else 1
        if here < 0 and one is back:
            page = here  # rows may have slid to the pages before, which this look has not come to
            continue
        unread = max(unread, one.known_until)
        if here > state.page > 0:
            page = here  # more rows of this one time than one look takes
    if unread <= state.mark:
        times.append(unread)
    since = min(times, default=None)
    if since is None or since != state.since:
        return since, 1
    return since, state.page if any(row.updated_at == since for row in held) else page
