"""What can go wrong for a reader; every message says what to do.

DatasetError
├── UnknownNameError      no such table or column; the message has the nearest ones
├── PublishRefusedError   nothing can be published: no folder is named, it is not ours, …
└── PublishError          the copy could not be made; the one before it stays
"""

import difflib
from collections.abc import Iterable


class DatasetError(Exception):
    """A wrong filter, wrong SQL, or a place with nothing to read."""


class UnknownNameError(DatasetError):
    """``known``: what there is."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.known = sorted(known)
        near = difflib.get_close_matches(name, self.known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(self.known)}"
        super().__init__(f"There is no {what} {name!r}: {hint}")


class PublishRefusedError(DatasetError):
    """Nothing was begun."""


class PublishError(DatasetError):
    """Not the caller's mistake."""
