"""A run's scope: one project and the IIDs of issues and merge requests in it.

The notation is GitLab's own. ``group/project#12`` is an issue and ``group/project!34`` a merge request;
``+`` joins IIDs and ``-`` makes a range: ``group/project#3+7+19-42!34+35``. The command line, Dagster's
partition keys, logs and the ledger all use this one parser and this one printer.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

MAX_ENTITIES = 100_000
"""A larger scope is a typing error (``#1-999999999``), not a surgical run."""

MAX_IID = 2**31 - 1
"""GitLab's IIDs are 32-bit integers; a larger one cannot exist."""

CHUNK_SIZE = 100
"""Entities per partition key; also GitLab's largest page."""

_SHOWN = 200
"""Characters of a scope text that an error quotes, around the place of the error."""

_SEGMENT = r"(?!\.{1,3}(?:/|$))[A-Za-z0-9_.][A-Za-z0-9_.-]*"
_PROJECT_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})+")
_PROJECT_ID = re.compile(r"[1-9][0-9]{0,17}")
_PROJECT_RULE = "a project is group/project (or its numeric id)"


class EntityType(StrEnum):
    ISSUE = "issue"
    MERGE_REQUEST = "merge_request"

    @property
    def sigil(self) -> str:
        """The character GitLab writes before the IID: ``#`` or ``!``."""
        return "#" if self is EntityType.ISSUE else "!"


class ScopeError(ValueError):
    """An invalid scope. ``position`` is the 0-based place in ``text`` where reading stopped."""

    def __init__(self, reason: str, *, text: str = "", position: int = 0) -> None:
        self.reason = reason
        self.text = text
        self.position = position
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        if not self.text:
            return self.reason
        start = max(0, self.position - _SHOWN // 2) if len(self.text) > _SHOWN else 0
        shown = self.text[start : start + _SHOWN]
        shown = f"{'…' * (start > 0)}{shown}{'…' * (start + _SHOWN < len(self.text))}"
        return f"{self.reason} (in {shown!r}, at character {self.position + 1})"


@dataclass(frozen=True, order=True, slots=True)
class EntityKey:
    """One issue or merge request within the run's project; prints as ``#12`` or ``!34``."""

    entity_type: EntityType
    iid: int

    def __str__(self) -> str:
        return f"{self.entity_type.sigil}{self.iid}"


@dataclass(frozen=True, slots=True)
class Scope:
    """A project and sorted, distinct, positive IIDs; never empty. Equal scopes print alike."""

    project: str
    issue_iids: tuple[int, ...]
    mr_iids: tuple[int, ...]

    @classmethod
    def of(cls, project: str, *, issue_iids: Iterable[int] = (), mr_iids: Iterable[int] = ()) -> Self:
        """Build from values.

        Raises:
            ScopeError: no IID at all, an IID outside 1..2^31-1, a project that is neither path nor id,
                or more than ``MAX_ENTITIES`` entities.
        """
        scope = cls(
            project=_checked_project(project),
            issue_iids=tuple(sorted({_checked_iid(iid, EntityType.ISSUE) for iid in issue_iids})),
            mr_iids=tuple(sorted({_checked_iid(iid, EntityType.MERGE_REQUEST) for iid in mr_iids})),
        )
        if not len(scope):
            raise ScopeError(f"the scope of {project} is empty: name at least one issue or merge request")
        if len(scope) > MAX_ENTITIES:
            raise ScopeError(f"a scope holds at most {MAX_ENTITIES:,} entities, this one has {len(scope):,}")
        return scope

    @classmethod
    def of_keys(cls, project: str, keys: Iterable[EntityKey]) -> Self:
        """The same from entities.

        Raises:
            ScopeError: as ``of``.
        """
        iids: dict[EntityType, list[int]] = {kind: [] for kind in EntityType}
        for key in keys:
            iids[key.entity_type].append(key.iid)
        return cls.of(project, issue_iids=iids[EntityType.ISSUE], mr_iids=iids[EntityType.MERGE_REQUEST])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``group/project#3+7+19-42!34``; ``parse(str(scope)) == scope``.

        Raises:
            ScopeError: with the reason and the place where the text stops making sense.
        """
        reader = _Reader(text)
        project = reader.project()
        iids: dict[EntityType, set[int]] = {kind: set() for kind in EntityType}
        while not reader.at_end:
            kind = reader.sigil()
            iids[kind] |= reader.iid_list()
            if sum(map(len, iids.values())) > MAX_ENTITIES:
                raise reader.error(f"a scope holds at most {MAX_ENTITIES:,} entities")
        if not any(iids.values()):
            raise reader.error("the scope is empty: name an issue as #12 or a merge request as !34")
        return cls.of(project, issue_iids=iids[EntityType.ISSUE], mr_iids=iids[EntityType.MERGE_REQUEST])

    @classmethod
    def merged(cls, scopes: Iterable[Self]) -> Self:
        """The union of scopes of one project; a second project is an error.

        Raises:
            ScopeError: nothing given, or scopes of more than one project.
        """
        given = tuple(scopes)
        if not given:
            raise ScopeError("the scope is empty: name at least one issue or merge request")
        projects = sorted({scope.project for scope in given})
        if len(projects) > 1:
            raise ScopeError(f"one run serves one project, not {' and '.join(projects)}: start a run for each")
        return cls.of(
            projects[0],
            issue_iids=(iid for scope in given for iid in scope.issue_iids),
            mr_iids=(iid for scope in given for iid in scope.mr_iids),
        )

    def __str__(self) -> str:
        parts = [self.project]
        for kind, iids in ((EntityType.ISSUE, self.issue_iids), (EntityType.MERGE_REQUEST, self.mr_iids)):
            if iids:
                parts.append(kind.sigil + "+".join(_printed_ranges(iids)))
        return "".join(parts)

    def __len__(self) -> int:
        return len(self.issue_iids) + len(self.mr_iids)

    def __contains__(self, key: EntityKey) -> bool:
        return key.iid in (self.issue_iids if key.entity_type is EntityType.ISSUE else self.mr_iids)

    def keys(self) -> Iterator[EntityKey]:
        """Issues, then merge requests, each by ascending IID."""
        yield from (EntityKey(EntityType.ISSUE, iid) for iid in self.issue_iids)
        yield from (EntityKey(EntityType.MERGE_REQUEST, iid) for iid in self.mr_iids)

    def name(self, key: EntityKey) -> str:
        """The entity as people write it: ``group/project#12``."""
        return f"{self.project}{key}"

    def chunks(self, size: int = CHUNK_SIZE) -> Iterator[Self]:
        """Scopes of at most ``size`` entities that together are this one."""
        keys = tuple(self.keys())
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            yield type(self).of(
                self.project,
                issue_iids=(key.iid for key in part if key.entity_type is EntityType.ISSUE),
                mr_iids=(key.iid for key in part if key.entity_type is EntityType.MERGE_REQUEST),
            )


class _Reader:
    """A cursor over a scope text; every error it raises names its place."""

    _IID = re.compile(r"[0-9]+")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def error(self, reason: str, *, at: int | None = None) -> ScopeError:
        return ScopeError(reason, text=self._text, position=self._at if at is None else at)

    def project(self) -> str:
        end = next((i for i, char in enumerate(self._text) if char in "#!"), len(self._text))
        name = self._text[:end]
        match = _PROJECT_PATH.match(name) or _PROJECT_ID.match(name)
        if match is None:
            raise self.error(_PROJECT_RULE, at=0)
        if match.end() != end:
            raise self.error(_PROJECT_RULE, at=match.end())
        self._at = end
        return _checked_project(name)

    def sigil(self) -> EntityType:
        char = self._text[self._at]
        for kind in EntityType:
            if char == kind.sigil:
                self._at += 1
                return kind
        raise self._unexpected()

    def iid_list(self) -> set[int]:
        iids = self._iid_or_range()
        while not self.at_end and self._text[self._at] == "+":
            self._at += 1
            iids |= self._iid_or_range()
            if len(iids) > MAX_ENTITIES:
                raise self.error(f"a scope holds at most {MAX_ENTITIES:,} entities")
        return iids

    def _iid_or_range(self) -> set[int]:
        start = self._at
        first = self._iid()
        if self.at_end or self._text[self._at] != "-":
            return {first}
        self._at += 1
        last = self._iid()
        if last < first:
            raise self.error(f"the range {first}-{last} runs backwards", at=start)
        if last - first >= MAX_ENTITIES:
            raise self.error(f"the range {first}-{last} names more than {MAX_ENTITIES:,} entities", at=start)
        return set(range(first, last + 1))

    def _iid(self) -> int:
        match = self._IID.match(self._text, self._at)
        if match is None:
            raise self._unexpected("an IID is a positive whole number")
        iid = int(match.group()) if len(match.group()) <= len(str(MAX_IID)) else MAX_IID + 1
        if not 1 <= iid <= MAX_IID:
            raise self.error(f"an IID lies between 1 and {MAX_IID}")
        self._at = match.end()
        return iid

    def _unexpected(self, rule: str = "only #, !, +, - and IIDs may follow the project") -> ScopeError:
        found = "the end" if self.at_end else repr(self._text[self._at])
        if "/" in self._text[self._at :]:
            return self.error("one scope text names one project; this begins a second")
        return self.error(f"{rule}, found {found}")


def _checked_project(project: str) -> str:
    valid = _PROJECT_PATH.fullmatch(project) or _PROJECT_ID.fullmatch(project)
    if not valid:
        raise ScopeError(_PROJECT_RULE, text=project)
    return project


def _checked_iid(iid: int, kind: EntityType) -> int:
    if not 1 <= iid <= MAX_IID:
        raise ScopeError(f"an IID lies between 1 and {MAX_IID}, {kind.sigil}{iid} does not")
    return iid


def _printed_ranges(iids: tuple[int, ...]) -> Iterator[str]:
    """``3 4 5 9`` as ``3-5``, ``9``; two neighbours stay apart as ``3``, ``4``: that is as short and clearer."""
    start = 0
    for i, iid in enumerate(iids):
        if i + 1 < len(iids) and iids[i + 1] == iid + 1:
            continue
        if i - start >= 2:  # noqa: PLR2004  three or more in a row make a range
            yield f"{iids[start]}-{iid}"
        else:
            yield from (str(one) for one in iids[start : i + 1])
        start = i + 1
