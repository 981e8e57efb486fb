"""The state of one running sandbox: a shared sample, and this server's own copies of what was changed."""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.control_models import Behaviour
from surgical_pipeline.sandbox.model import Entity, EntityKey, IssueLink, Json, Kind, Project, Sample, Viewer
from surgical_pipeline.sandbox.sample.people import namespace_payload, project_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from surgical_pipeline.sandbox.hooks.bodies import Announcement


def utc_now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, slots=True)
class _Version:
    """What an entity was until `until`: this world's copy of it (None: the sample's, if any), and whether gone."""

    key: EntityKey
    until: datetime
    entity: Entity | None
    gone: bool


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
        """The ids of projects made since, each with that of the sample's project that who may read it may read."""
        self._changed: dict[EntityKey, Entity] = {}
        self._gone: set[EntityKey] = set()
        self._orders: dict[tuple[int, Kind, str, bool], list[Entity]] = {}
        self._next_id = self.sample.next_id
        self.groups: dict[str, Json] = {}
        """Every group by its full path in lower case."""
        for project in self.projects.values():
            group = project.payload["namespace"]
            self.groups[group["full_path"].lower()] = group
        self.behaviour = Behaviour()
        self.announced: list[Announcement] = []
        """What hooks have to say of the edits since somebody last took it from here."""
        self.cached_rows: dict[tuple[int, str], tuple[datetime, bytes]] = {}
        """Rows of merge request lists by id and `updated_at`, with the time at which they were made."""
        self._versions: list[_Version] = []
        self._answers = 0

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

    def find_group(self, ident: str) -> Json | None:
        """By numeric id or full path in any case."""
        if ident.isdecimal():
            return next((group for group in self.groups.values() if group["id"] == int(ident)), None)
        return self.groups.get(ident.lower())

    def projects_below(self, group: Json) -> list[Project]:
        """The projects of a group and of all its subgroups."""
        inside = f"{group['full_path']}/"
        return [project for project in self.projects.values() if project.path.startswith(inside)]

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

    def as_answered(self) -> World:
        """What the next answer shows: this world, or the past one of a replica that lags behind."""
        lag = self.behaviour.replica_lag_seconds
        self._answers += 1
        if not lag or self._answers % self.behaviour.replica_every:
            return self
        return self._as_of(self.now() - timedelta(seconds=lag))

    def _as_of(self, moment: datetime) -> World:
        """The entities as they were; to be read only. Projects and links are those of today."""
        changed, gone = dict(self._changed), set(self._gone)
        for version in reversed(self._versions):
            if version.until <= moment:
                break
            changed.pop(version.key, None)
            if version.entity is not None:
                changed[version.key] = version.entity
            (gone.add if version.gone else gone.discard)(version.key)
        past = copy.copy(self)
        vars(past).update(_changed=changed, _gone=gone, _orders={})
        return past

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

    def rename(self, project_id: int, name: str) -> Project:
        """Give a project another name in its group; its former path redirects, and no `updated_at` moves."""
        old = self.projects[project_id]
        group = old.payload["namespace"]
        renamed = project_payload(project_id, name, namespace=group, visibility=old.payload["visibility"])
        payload = renamed | {"created_at": old.payload["created_at"]}
        new = replace(old, payload=payload, former_paths=(*old.former_paths, old.path))
        self.projects[project_id] = new
        self._paths |= {path.lower(): new for path in (*new.former_paths, new.path)}
        for key in [key for key in self.every_key() if key[0] == project_id]:
            entity = self.editable(key)
            if entity is not None:
                address, full = entity.payload["web_url"], entity.payload["references"]["full"]
                entity.payload["web_url"] = address.replace(f"/{old.path}/-/", f"/{new.path}/-/")
                entity.payload["references"] |= {"full": full.replace(old.path, new.path)}
        return new

    def create_project(self, path: str) -> Project:
        """A new, empty project with the groups that its path needs; who may read the first one may read it."""
        *groups, name = path.split("/")
        above: Json | None = None
        for depth in range(1, len(groups) + 1):
            full_path = "/".join(groups[:depth])
            if full_path.lower() not in self.groups:
                self.groups[full_path.lower()] = namespace_payload(full_path, self.next_id(), parent=above)
            above = self.groups[full_path.lower()]
        payload = project_payload(self.next_id(), name, namespace=above or {}, visibility="internal")
        project = Project(payload | {"created_at": format_instant(self.now())}, (), {}, ())
        first = next(iter(self.sample.projects))
        self.projects[project.project_id] = project
        self._paths[project.path.lower()] = project
        self.made_anew[project.project_id] = first
        return project

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
        self._remember(key)
        if key not in self._changed or self.behaviour.replica_lag_seconds:
            fields = {name: getattr(original, name) for name in Entity.__dataclass_fields__ if name != "rendered"}
            self._changed[key] = Entity(**copy.deepcopy(fields))
        entity = self._changed[key]
        entity.rendered.clear()
        self._orders.clear()
        return entity

    def add(self, entity: Entity) -> None:
        """A new entity; an existing one with the same key is replaced."""
        self._remember(entity.key)
        self._changed[entity.key] = entity
        self._gone.discard(entity.key)
        self._orders.clear()

    def vanish(self, key: EntityKey) -> None:
        self._remember(key)
        self._gone.add(key)
        self._orders.clear()

    def restore(self, key: EntityKey) -> None:
        self._remember(key)
        self._gone.discard(key)
        self._orders.clear()

    def _remember(self, key: EntityKey) -> None:
        """Keep what is about to change, as long as a replica shows it."""
        lag = timedelta(seconds=self.behaviour.replica_lag_seconds)
        if not lag:
            return
        now = self.now()
        self._versions = [version for version in self._versions if version.until > now - lag]
        self._versions.append(_Version(key, now, self._changed.get(key), key in self._gone))

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
