"""The state of one running sandbox: a shared sample, and this server's own copies of what was changed."""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.model import Entity, EntityKey, IssueLink, Kind, Project, Sample, Viewer

if TYPE_CHECKING:
    from collections.abc import Callable


def utc_now() -> datetime:
    return datetime.now(tz=UTC)


class World:
    """Reads and changes; not thread-safe: a server uses it only from its event loop.

    The sample itself is never changed, so many worlds may share one and `reset` costs nothing.
    """

    def __init__(self, sample: Sample, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.sample = sample
        self._clock = clock
        self._links: dict[EntityKey, list[IssueLink]] = defaultdict(list)
        for link in sample.links:
            self._links[link.source].append(link)
            self._links[link.target].append(link)
        self.reset()

    def reset(self) -> None:
        """Back to the sample."""
        self.projects = dict(self.sample.projects)
        """The existing projects; changes apply to the first by default."""
        self._paths = {project.path.lower(): project for project in self.projects.values()}
        for project in self.projects.values():
            self._paths |= {path.lower(): project for path in project.former_paths}
        self.made_anew: dict[int, int] = {}
        """The ids of projects that replaced one of the sample, each with the sample project's id."""
        self._changed: dict[EntityKey, Entity] = {}
        self._gone: set[EntityKey] = set()
        self._orders: dict[tuple[int, Kind, str, bool], list[Entity]] = {}
        self._next_id = self.sample.next_id

    def find_project(self, ident: str) -> Project | None:
        """By numeric id, path or former path; paths in any case."""
        if ident.isdecimal():
            return self.projects.get(int(ident))
        return self._paths.get(ident.lower())

    def find(self, project_id: int, kind: Kind, iid: int) -> Entity | None:
        key = (project_id, kind, iid)
        if key in self._gone:
            return None
        return self._changed.get(key) or self.sample.entities.get(key)

    def every_key(self) -> set[EntityKey]:
        """The keys of all entities that ever existed, including vanished ones."""
        return self.sample.entities.keys() | self._changed.keys()

    def ordered(self, project_id: int, kind: Kind, *, order_by: str, descending: bool) -> list[Entity]:
        """Every entity of a kind in order, ties by id; the list is cached and must not be changed."""
        cached = self._orders.get((project_id, kind, order_by, descending))
        if cached is None:
            found = (self.find(*key) for key in self.every_key() if key[0] == project_id and key[1] == kind)
            cached = sorted(
                (entity for entity in found if entity is not None),
                key=lambda entity: (str(entity.payload[order_by]), int(entity.payload["id"])),
                reverse=descending,
            )
            self._orders[project_id, kind, order_by, descending] = cached
        return cached

    def links_of(self, key: EntityKey) -> list[IssueLink]:
        return self._links.get(key, [])

    def closed_by(self, issue: EntityKey) -> list[Entity]:
        found = (self.find(*closing.merge_request) for closing in self.sample.closings if closing.issue == issue)
        return [entity for entity in found if entity is not None]

    def closes_issues(self, merge_request: EntityKey) -> list[Entity]:
        closings = self.sample.closings
        found = (self.find(*closing.issue) for closing in closings if closing.merge_request == merge_request)
        return [entity for entity in found if entity is not None]

    def related_merge_requests(self, issue: EntityKey) -> list[Entity]:
        """Those of the same project that close the issue or mention it in their description, oldest first."""
        closing = {entity.key for entity in self.closed_by(issue)}
        mention = re.compile(rf"(?<![\w/])#{issue[2]}\b")
        changes = self.ordered(issue[0], "merge_request", order_by="created_at", descending=False)
        return [mr for mr in changes if mr.key in closing or mention.search(mr.payload["description"] or "")]

    # ------------------------------------------------------------------ changes

    def recreate(self, project_id: int) -> Project:
        """Delete a project and create one with the same path, the next id and nothing in it."""
        old = self.projects[project_id]
        new_id = self.next_id()
        payload = copy.deepcopy(old.payload) | {"id": new_id, "created_at": format_instant(self.now())}
        new = Project(payload, (), old.labels, ())
        self.projects = {new_id: new} | {key: one for key, one in self.projects.items() if key != project_id}
        self._paths = {path: one for path, one in self._paths.items() if one is not old} | {new.path.lower(): new}
        self.made_anew[new_id] = self.made_anew.get(project_id, project_id)
        return new

    def admit(self, viewer: Viewer) -> Viewer:
        """The viewer with the same access to recreated projects as to the originals."""
        if not self.made_anew:
            return viewer
        of_sample = ((project_id, self.made_anew.get(project_id, project_id)) for project_id in self.projects)
        levels = {project_id: viewer.levels[known] for project_id, known in of_sample if known in viewer.levels}
        return replace(viewer, levels=levels)

    def editable(self, key: EntityKey) -> Entity | None:
        """This world's own copy of an entity, even of one that vanished; None when it never existed."""
        original = self._changed.get(key) or self.sample.entities.get(key)
        if original is None:
            return None
        if key not in self._changed:
            fields = {name: getattr(original, name) for name in Entity.__dataclass_fields__ if name != "rendered"}
            self._changed[key] = Entity(**copy.deepcopy(fields))
        entity = self._changed[key]
        entity.rendered.clear()
        self._orders.clear()
        return entity

    def add(self, entity: Entity) -> None:
        """A new entity; an existing one with the same key is replaced."""
        self._changed[entity.key] = entity
        self._gone.discard(entity.key)
        self._orders.clear()

    def vanish(self, key: EntityKey) -> None:
        self._gone.add(key)
        self._orders.clear()

    def restore(self, key: EntityKey) -> None:
        self._gone.discard(key)
        self._orders.clear()

    def next_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def next_iid(self, project_id: int, kind: Kind) -> int:
        """One past the highest ever used, including deleted ones."""
        return 1 + max((key[2] for key in self.every_key() if key[:2] == (project_id, kind)), default=0)

    def now(self) -> datetime:
        return self._clock()

    def moment_after(self, instant: str | None) -> datetime:
        """Now, or one millisecond after `instant` if that is later: changes never share an `updated_at`."""
        now = self.now()
        if instant is None:
            return now
        return max(now, datetime.fromisoformat(instant) + timedelta(milliseconds=1))
