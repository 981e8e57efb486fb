"""The cursor of ``gitlab_changes``: everything that polling remembers, as at most 2 KB of text.

Dagster stores the whole cursor with every tick. A watch has two lists. It takes 16 bytes where nothing happens,
and 9 more for each list of which changes are outstanding; text takes five characters for four bytes. So there is
room for ``MAX_WATCHES``, unless very many have an unfinished reading at once: then the last ones wait (``fit``).
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from typing import Self

from surgical_pipeline.domain.listing import MILLISECOND, ListPosition
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.list_state import MAX_TRIES, ListState

MAX_CHARACTERS = 2048
_VERSION = "1"
_HEAD_CHARACTERS = 128
_ROOM = (MAX_CHARACTERS - _HEAD_CHARACTERS) // 5 * 4
"""Bytes for the states of all watches."""
_KEY_BYTES = 4
_MARK = re.compile(r"[^/]+/[0-9]+/[^/]*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PRESENT, _POSITION, _SINCE, _FLOOR, _TRIES_SHIFT = 1, 2, 4, 8, 4

WatchState = Mapping[EntityType, ListState]
"""By list; one that is missing was never read."""
States = Mapping[bytes, WatchState]


class CursorError(ValueError):
    """The text is no cursor of this program."""


@dataclass(frozen=True, slots=True)
class PollCursor:
    """What one tick hands to the next.

    Args:
        ledger: which ledger was seen, and how far, as a text without spaces; empty: none was there yet.
        turn: which watch comes first.
        settled_at: when entities that may have changed unseen were asked for last.
        states: by ``key_of`` the watch.
    """

    ledger: str = ""
    turn: int = 0
    settled_at: datetime = _EPOCH
    states: States = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{_VERSION} {self.turn} {_number(self.settled_at)} {self.ledger or '-'}"
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
            version, turn, settled, ledger, body = text.split(" ")
            if version != _VERSION:
                raise CursorError(f"its version is {version!r}")
            if ledger != "-" and not _MARK.fullmatch(ledger):
                raise CursorError(f"it names no ledger: {ledger!r}")
            states = dict(_Reader(base64.b85decode(body)).states())
            return cls("" if ledger == "-" else ledger, int(turn), _time(int(settled)), states)
        except (ValueError, OverflowError) as error:
            raise CursorError(f"the sensor's cursor cannot be read: {error}") from error


def key_of(watch: Watch) -> bytes:
    """What stands for the watch in a cursor."""
    return blake2s(str(watch).lower().encode(), digest_size=_KEY_BYTES).digest()


def fit(states: States) -> bool:
    """Whether a cursor has room for all of them."""
    return sum(_KEY_BYTES + len(_packed(state)) for state in states.values()) <= _ROOM


def _packed(state: WatchState) -> bytes:
    """Both lists, the second by its distance from the first."""
    base, found = 0, b""
    for kind in EntityType:
        one = state.get(kind)
        found += _packed_list(one, base) if one else bytes([0])
        base = _number(one.mark) if one else base
    return found


def _packed_list(state: ListState, base: int) -> bytes:
    """Flags, the mark by its distance from ``base``, all else by its distance from the mark, in milliseconds."""
    mark = _number(state.mark)
    flags = _PRESENT | min(state.tries, MAX_TRIES + 1) << _TRIES_SHIFT
    numbers = [mark - base, _number(state.started) - mark]
    if state.position is not None:
        flags |= _POSITION
        onward = state.position.onward
        numbers += [_number(state.position.anchor) - mark, state.position.page]
        numbers.append(_number(onward) - _number(state.position.anchor) if onward else 0)
    if state.since is not None:
        flags |= _SINCE
        numbers += [_number(state.since) - mark, state.page, _number(state.looked_at or state.since) - mark]
    if state.floor is not None:
        flags |= _FLOOR
        numbers.append(_number(state.floor) - mark)
    return bytes([flags]) + b"".join(map(_signed, numbers))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def states(self) -> Iterator[tuple[bytes, WatchState]]:
        while self._at < len(self._data):
            yield self._take(_KEY_BYTES), self._state()

    def _state(self) -> WatchState:
        base, found = 0, {}
        for kind in EntityType:
            (flags,) = self._take(1)
            if flags & _PRESENT:
                base += self._signed()
                found[kind] = self._list(flags, base)
        return found

    def _list(self, flags: int, mark: int) -> ListState:
        started = _time(mark + self._signed())
        position = since = looked_at = None
        page = 1
        if flags & _POSITION:
            anchor, number, onward = mark + self._signed(), self._signed(), self._signed()
            position = ListPosition(_time(anchor), number, _time(anchor + onward) if onward else None)
        if flags & _SINCE:
            since, page, looked_at = _time(mark + self._signed()), self._signed(), _time(mark + self._signed())
        floor = _time(mark + self._signed()) if flags & _FLOOR else None
        return ListState(
            _time(mark),
            started,
            position,
            since=since,
            page=page,
            looked_at=looked_at,
            tries=flags >> _TRIES_SHIFT,
            floor=floor,
        )

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
