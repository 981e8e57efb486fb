"""What the embedded GitLab holds: projects and their issues and merge requests, as in GitLab's answers.

Everything here is built once and then shared between servers; a server that changes an entity changes
its own copy (see `world.World`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Json: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["issue", "merge_request"]
EntityKey: TypeAlias = tuple[int, Kind, int]
Fragments: TypeAlias = list[bytes | None]

GUEST, REPORTER, DEVELOPER, MAINTAINER = 10, 20, 30, 40
NOTEABLE_TYPE: dict[Kind, str] = {"issue": "Issue", "merge_request": "MergeRequest"}


def render(value: Any) -> bytes:
    """JSON as GitLab sends it: UTF-8, no spaces, keys in the order they were written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(slots=True)
class Entity:
    """One issue or merge request with all its dependents.

    `payload` is the answer of the list endpoints; a single answer is `payload` with `single` added.
    `rendered` caches JSON and is never part of the entity's value.
    """

    kind: Kind
    payload: Json
    single: Json = field(default_factory=dict)
    discussions: list[Json] = field(default_factory=list)
    label_events: list[Json] = field(default_factory=list)
    state_events: list[Json] = field(default_factory=list)
    milestone_events: list[Json] = field(default_factory=list)
    awards: list[Json] = field(default_factory=list)
    commits: list[Json] = field(default_factory=list)
    diffs: list[Json] = field(default_factory=list)
    approved_by: list[Json] = field(default_factory=list)
    rendered: dict[tuple[str, bool], Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def project_id(self) -> int:
        return int(self.payload["project_id"])

    @property
    def iid(self) -> int:
        return int(self.payload["iid"])

    @property
    def key(self) -> EntityKey:
        return (self.project_id, self.kind, self.iid)

    @property
    def confidential(self) -> bool:
        return bool(self.payload.get("confidential"))

    def notes(self) -> list[Json]:
        """Every note of every discussion, in the order of the discussions."""
        return [note for discussion in self.discussions for note in discussion["notes"]]


@dataclass(frozen=True, slots=True)
class IssueLink:
    """A relation between two issues; `link_type` is read from the source (`relates_to` or `blocks`)."""

    link_id: int
    source: EntityKey
    target: EntityKey
    link_type: Literal["relates_to", "blocks"]
    created_at: str


@dataclass(frozen=True, slots=True)
class Closing:
    """The merge request `merge_request` closes the issue `issue` when it is merged."""

    merge_request: EntityKey
    issue: EntityKey


@dataclass(frozen=True, slots=True)
class Project:
    """A project, the paths that it had before, its labels and its milestones."""

    payload: Json
    former_paths: tuple[str, ...]
    labels: Mapping[str, Json]
    milestones: tuple[Json, ...]

    @property
    def project_id(self) -> int:
        return int(self.payload["id"])

    @property
    def path(self) -> str:
        return str(self.payload["path_with_namespace"])

    def detailed_label(self, name: str) -> Json:
        """The label as `with_labels_details=true` shows it; an undefined name gets GitLab's grey."""
        known = self.labels.get(name, {"id": 0, "color": "#428BCA", "text_color": "#FFFFFF"})
        return {
            "id": known["id"],
            "name": name,
            "description": known.get("description"),
            "description_html": known.get("description_html", ""),
            "text_color": known["text_color"],
            "color": known["color"],
            "archived": False,
        }


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who a token belongs to: scopes, and the access level in each project that it may read."""

    user: Json
    token_id: int
    token_name: str
    scopes: tuple[str, ...]
    levels: Mapping[int, int]

    def reads_confidential(self, project_id: int) -> bool:
        return self.levels.get(project_id, 0) >= REPORTER


@dataclass(frozen=True, slots=True)
class Sample:
    """A whole GitLab: never changes after it is built."""

    projects: Mapping[int, Project]
    entities: Mapping[EntityKey, Entity]
    links: tuple[IssueLink, ...]
    closings: tuple[Closing, ...]
    users: Mapping[str, Json]
    next_id: int
