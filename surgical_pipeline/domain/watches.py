"""What the sensors watch: projects by path or id, and whole groups as ``group/*``."""

from dataclasses import dataclass
from typing import Self

from surgical_pipeline.domain.scope import Scope, ScopeError

MAX_WATCHES = 50
"""Entries that one sensor can watch: its cursor of 2 KB has room for so many. A group is one entry."""

_EVERY = "/*"


class WatchError(ValueError):
    """A text that names no project and no group; the message says which and what is allowed."""


@dataclass(frozen=True, order=True, slots=True)
class Watch:
    """A project or all projects of a group. ``name``: full path or numeric id, of a group the path alone."""

    name: str
    is_group: bool = False

    def __str__(self) -> str:
        return f"{self.name}{_EVERY}" if self.is_group else self.name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``group/project``, ``123`` or ``group/*``.

        Raises:
            WatchError: it is something else.
        """
        is_group = text.endswith(_EVERY)
        name = text.removesuffix(_EVERY)
        try:
            Scope.of(f"{name}/x" if is_group else name, issue_iids=[1])
        except ScopeError:
            raise WatchError(
                f"{text!r} names no project: write group/project, its numeric id, or group/* for all of a group"
            ) from None
        return cls(name, is_group)

    def covers(self, project_id: int, path: str) -> bool:
        """Whether the project belongs to it; paths in any case, subgroups included."""
        if self.is_group:
            return path.lower().startswith(f"{self.name.lower()}/")
        return self.name.lower() in (path.lower(), str(project_id))


def parse_watches(text: str) -> tuple[Watch, ...]:
    """The entries of a comma-separated list, each once and in order; those inside a watched group are left out.

    Raises:
        WatchError: an entry is wrong, or there are more than ``MAX_WATCHES``.
    """
    words = [word for part in text.split(",") if (word := part.strip())]
    named = list({str(watch).lower(): watch for watch in map(Watch.parse, words)}.values())
    groups = [watch for watch in named if watch.is_group]
    found = tuple(
        watch for watch in named if not any(group != watch and group.covers(0, watch.name) for group in groups)
    )
    if len(found) > MAX_WATCHES:
        raise WatchError(
            f"{len(found)} projects and groups are named, and one sensor watches at most {MAX_WATCHES}: "
            "name whole groups as group/*"
        )
    return found
