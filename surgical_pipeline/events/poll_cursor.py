"""The cursor of ``gitlab_changes``: everything that polling remembers, as at most 2 KB of text.

Dagster stores the whole cursor with every tick. A watch takes 14 bytes where nothing happens and about 23 while
changes of it are outstanding; in text five characters for four bytes. So ``MAX_WATCHES`` have room, unless very
many have an unfinished reading at once: then the last ones wait until others are done (``fit`` says when).
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from typing import Self

from surgical_pipeline.domain.listing import MILLISECOND, ListPosition
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.watch_state import MAX_TRIES, ListState, WatchState

MAX_CHARACTERS = 2048
_VERSION = "1"
_HEAD_CHARACTERS = 128
_ROOM = (MAX_CHARACTERS - _HEAD_CHARACTERS) // 5 * 4
"""Bytes for the states of all watches."""
_KEY_BYTES = 4
_TIME_BYTES = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SINCE, _FLOOR, _ISSUES_AT, _MERGE_REQUESTS_AT, _TRIES_SHIFT = 1, 2, 4, 8, 4

States = Mapping[bytes, WatchState]


class CursorError(ValueError):
    """The text is no cursor of this program."""


@dataclass(frozen=True, slots=True)
class PollCursor:
    """``ledger``: which ledger was seen, and how far, as a text without spaces; empty: none was there yet.

    ``turn``: which watch comes first. ``states``: by ``key_of`` the watch.
    """

    ledger: str = ""
    turn: int = 0
    states: States = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{_VERSION} {self.turn} {self.ledger or '-'}"
        if len(head) >= _HEAD_CHARACTERS:
            raise ValueError(f"the ledger's mark is too long: {self.ledger!r}")
        body = b"".join(key + _packed(state) for key, state in self.states.items())
        return f"{head} {base64.b85encode(body).decode('ascii')}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor whose text it is, times in milliseconds.

        Raises:
            CursorError: it is no such text.
        """
        try:
            version, turn, ledger, *rest = text.split(" ")
            if version != _VERSION:
                raise CursorError(f"its version is {version!r}")
            reader = _Reader(base64.b85decode("".join(rest)))
            return cls("" if ledger == "-" else ledger, int(turn), dict(reader.states()))
        except (ValueError, binascii.Error, IndexError, OverflowError) as error:
            raise CursorError(f"the sensor's cursor cannot be read: {error}") from error


def key_of(watch: Watch) -> bytes:
    """What stands for the watch in a cursor."""
    return blake2s(str(watch).lower().encode(), digest_size=_KEY_BYTES).digest()


def fit(states: States) -> bool:
    """Whether a cursor has room for all of them."""
    return sum(_KEY_BYTES + len(_packed(state)) for state in states.values()) <= _ROOM


def _packed(state: WatchState) -> bytes:
    """Flags, the mark of the issues, and everything else as its distance to that in milliseconds."""
    mark = _number(state.issues.mark)
    positions = (state.issues.position, state.merge_requests.position)
    flags = min(state.tries, MAX_TRIES) << _TRIES_SHIFT
    flags |= _SINCE * (state.since is not None) | _FLOOR * (state.floor is not None)
    flags |= _ISSUES_AT * (positions[0] is not None) | _MERGE_REQUESTS_AT * (positions[1] is not None)
    distances = [_number(one) - mark for one in (state.issues.started, state.merge_requests.mark)]
    distances.append(_number(state.merge_requests.started) - _number(state.merge_requests.mark))
    if state.since is not None:
        distances += [_number(state.since) - mark, state.page]
        distances.append(_number(state.looked_at or state.since) - mark)
    if state.floor is not None:
        distances.append(_number(state.floor) - mark)
    for position in positions:
        if position is not None:
            distances += [_number(position.anchor) - mark, position.page]
            distances.append(_number(position.onward) - _number(position.anchor) if position.onward else 0)
    return bytes([flags]) + mark.to_bytes(_TIME_BYTES, "big") + b"".join(map(_signed, distances))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def states(self) -> Iterator[tuple[bytes, WatchState]]:
        while self._at < len(self._data):
            yield self._take(_KEY_BYTES), self._state()

    def _state(self) -> WatchState:
        (flags,) = self._take(1)
        mark = int.from_bytes(self._take(_TIME_BYTES), "big")
        started, other_mark = mark + self._signed(), mark + self._signed()
        other_started = other_mark + self._signed()
        since = looked_at = floor = None
        page = 1
        if flags & _SINCE:
            since, page, looked_at = _time(mark + self._signed()), self._signed(), _time(mark + self._signed())
        if flags & _FLOOR:
            floor = _time(mark + self._signed())
        issues_at = self._position(mark) if flags & _ISSUES_AT else None
        merge_requests_at = self._position(mark) if flags & _MERGE_REQUESTS_AT else None
        return WatchState(
            ListState(_time(mark), _time(started), issues_at),
            ListState(_time(other_mark), _time(other_started), merge_requests_at),
            since=since,
            page=page,
            looked_at=looked_at,
            tries=flags >> _TRIES_SHIFT,
            floor=floor,
        )

    def _position(self, mark: int) -> ListPosition:
        anchor, page, onward = mark + self._signed(), self._signed(), self._signed()
        return ListPosition(_time(anchor), page, _time(anchor + onward) if onward else None)

    def _signed(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self._take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:  # noqa: PLR2004  the highest bit says that more follows
                return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise CursorError("it breaks off")
        self._at += count
        return self._data[self._at - count : self._at]


def _signed(value: int) -> bytes:
    """Seven bits a byte, the lowest first; small numbers of either sign are short."""
    rest = value * 2 if value >= 0 else -value * 2 - 1
    found = bytearray()
    while rest > 127:  # noqa: PLR2004  what seven bits hold
        found.append(rest & 127 | 128)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def _number(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // MILLISECOND


def _time(number: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=number)
