"""A backfill: many entities of one or more projects, cut into chunks of which each becomes one run."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.limits import DEFAULT_CHUNK
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope, ScopeError

MAX_KEY_BYTES = 2000
"""Of a chunk's scope text, which is a partition key and a tag: PostgreSQL's indexes refuse more than 2,704."""
LONGEST_PATH = 500
"""A project with a longer path is named by its id, or little of a key would be left for IIDs."""

_PAGE = 100
_BETWEEN = re.compile(r"[,;+\s]+")
_OF_ENTITIES = frozenset({FailureCode.NOT_FOUND, FailureCode.INVALID_PAYLOAD, FailureCode.DOCUMENT_ERROR})
"""Codes that say something about one entity, also where they ended a run in which no other was left."""


class BackfillError(Exception):
    """What was asked for cannot be done; the sentence says why and what to do."""

    def __init__(self, message: str, code: FailureCode = FailureCode.NOT_FOUND) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for.

    Args:
        scopes: entities by name, of one or more projects.
        projects: all entities of theirs.
        updated_after: of all these, only those that changed at this time or later.
        only_changed: runs fetch no dependents of what is as the ledger has it.
        chunk: entities of one run at most, 1 to ``MAX_CHUNK``.
    """

    scopes: tuple[Scope, ...] = ()
    projects: tuple[str, ...] = ()
    updated_after: datetime | None = None
    only_changed: bool = False
    chunk: int = DEFAULT_CHUNK


class BackfillPlan(BaseModel):
    """What will be launched. ``chunks``: canonical scope texts, one run each.

    Args:
        planning_requests: what making the plan took.
        requests: what the runs take at most; ``least_requests``: if nothing has changed.
        per_minute: the rate limit that GitLab names; None: it names none.
    """

    model_config = ConfigDict(frozen=True)

    projects: tuple[str, ...]
    chunks: tuple[str, ...]
    entities: int
    only_changed: bool
    planning_requests: int
    requests: int
    least_requests: int
    per_minute: int | None

    @property
    def seconds(self) -> float | None:
        """What the rate limit makes of the requests; None: it is not known."""
        return 60 * self.requests / self.per_minute if self.per_minute else None


class EntityState(StrEnum):
    """What became of an entity of a backfill, by the last run that had it."""

    WAITING = "waiting"
    RUNNING = "running"
    WRITTEN = "written"
    """Its run goes on and has written its row."""
    UNCHANGED = "unchanged"
    DONE = "done"
    MISSING = "missing"
    """GitLab has no such IID, or does not show it."""
    FAILED = "failed"


class BackfillProgress(BaseModel):
    """Entities of a backfill by state; together they are ``entities``. ``failures``: by code.

    ``done`` includes those that were unchanged. ``runs_ended`` of ``runs`` have come to an end of any kind.
    """

    model_config = ConfigDict(frozen=True)

    entities: int
    done: int = 0
    unchanged: int = 0
    missing: int = 0
    failed: int = 0
    running: int = 0
    written: int = 0
    waiting: int = 0
    runs: int = 0
    runs_ended: int = 0
    failures: dict[FailureCode, int] = {}

    @property
    def ended(self) -> int:
        """Entities whose outcome is final, unless somebody resumes the backfill."""
        return self.done + self.missing + self.failed

    @property
    def all_ended(self) -> bool:
        return self.ended == self.entities and self.runs_ended >= self.runs


class LastFailure(BaseModel):
    """A failure that the last run of an entity left. ``run_failed``: that run came to no good end as a whole."""

    model_config = ConfigDict(frozen=True)

    project: str
    entity_type: EntityType
    iid: int
    code: FailureCode
    own: bool
    """Of the entity itself, not of one of its dependents."""
    run_failed: bool

    @property
    def worth_another_try(self) -> bool:
        """Whether a resumed backfill takes the entity.

        What failed for a reason that lies in the entity is left alone. What failed with its run is taken even if
        somebody had to change something first, such as the token.
        """
        return self.code.retryable or (self.run_failed and self.code not in _OF_ENTITIES)


def named_scope(project: str, *, issues: str = "", merge_requests: str = "") -> Scope:
    """Read IIDs as people write them: ``1-500,733``; ``#`` or ``!`` before one is allowed.

    Raises:
        ScopeError: with the place where the text stops making sense.
    """
    parts = [project]
    for kind, text in ((EntityType.ISSUE, issues), (EntityType.MERGE_REQUEST, merge_requests)):
        words = [word.removeprefix(kind.sigil) for word in _BETWEEN.split(text) if word]
        if words:
            parts.append(kind.sigil + "+".join(words))
    if len(parts) == 1:
        raise ScopeError("name issues or merge requests by their IIDs, such as 1-500,733")
    return Scope.parse("".join(parts))


def chunks_of(project: str, keys: Iterable[EntityKey], *, chunk: int = DEFAULT_CHUNK) -> Iterator[Scope]:
    """Scopes that together are exactly these entities, issues first, each by ascending IID.

    Each has at most ``chunk`` entities and a canonical text of at most ``MAX_KEY_BYTES``.

    Raises:
        ScopeError: the project's path alone is too long for a text.
    """
    ordered = sorted(set(keys))
    start = 0
    while start < len(ordered):
        part = ordered[start : start + chunk]
        scope = Scope.of_keys(project, part[: _fitting(project, part)])
        yield scope
        start += len(scope)


def _fitting(project: str, keys: Sequence[EntityKey]) -> int:
    """How many of the first of these fit into a text: one more never makes it shorter, so halving finds it."""

    def length(count: int) -> int:
        return len(str(Scope.of_keys(project, keys[:count])).encode())

    if length(len(keys)) <= MAX_KEY_BYTES:
        return len(keys)
    fitting = bisect_right(range(1, len(keys)), MAX_KEY_BYTES, key=length)
    if not fitting:
        raise ScopeError(f"the path of the project takes more than {MAX_KEY_BYTES} bytes: name it by its id")
    return fitting


def plan_of(
    chunks: Sequence[Scope],
    *,
    dependents: Sequence[Dependent],
    only_changed: bool,
    planning_requests: int,
    per_minute: int | None,
) -> BackfillPlan:
    """The plan for these chunks, with what it will cost."""
    least = sum(1 + _batches(scope.issue_iids) + _batches(scope.mr_iids) for scope in chunks)
    more = sum(
        len(iids)
        for scope in chunks
        for dependent in dependents
        for kind, iids in ((EntityType.ISSUE, scope.issue_iids), (EntityType.MERGE_REQUEST, scope.mr_iids))
        if kind in dependent.applies_to
    )
    return BackfillPlan(
        projects=tuple(dict.fromkeys(scope.project for scope in chunks)),
        chunks=tuple(map(str, chunks)),
        entities=sum(map(len, chunks)),
        only_changed=only_changed,
        planning_requests=planning_requests,
        requests=least + more,
        least_requests=least if only_changed else least + more,
        per_minute=per_minute,
    )


def _batches(iids: Sequence[int]) -> int:
    return -(-len(iids) // _PAGE)
