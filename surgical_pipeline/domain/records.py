"""What goes from GitLab to the ledger: key columns taken from a payload, and the payload itself.

``payload`` is always the JSON text as GitLab sent it. ``fetched_at`` is when the fetch *began*, by GitLab's
clock, in UTC: whatever GitLab changed after that moment may be missing from it.
"""

from dataclasses import dataclass
from datetime import datetime

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.scope import EntityKey, EntityType


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """``path`` is the full path with namespace, as GitLab spells it now.

    ``unreadable``: what GitLab says is disabled in this project or hidden from the token's user. GitLab leaves
    those out of its answers as if there were none. ``gitlab_url``: GitLab's own address, host and prefix; it and
    ``created_at`` are None if not reported.
    """

    project_id: int
    path: str
    payload: str
    unreadable: frozenset[EntityType] = frozenset()
    gitlab_url: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntityRecord:
    """An issue or merge request. ``sha``: head of the merge request's branch; None for issues."""

    key: EntityKey
    project_id: int
    gitlab_id: int
    title: str
    state: str
    updated_at: datetime
    fetched_at: datetime
    payload: str
    confidential: bool = False
    moved_to_id: int | None = None
    sha: str | None = None
    target_project_id: int | None = None
    target_branch: str | None = None


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """``position``: 0-based order within its discussion."""

    note_id: int
    position: int
    author: str | None
    system: bool
    internal: bool
    created_at: datetime | None
    updated_at: datetime | None
    payload: str


@dataclass(frozen=True, slots=True)
class DiscussionRecord:
    """``position``: 0-based order within the entity; ``payload`` leaves out ``notes``, which carry their own."""

    discussion_id: str
    position: int
    individual_note: bool
    payload: str
    notes: tuple[NoteRecord, ...]


@dataclass(frozen=True, slots=True)
class ResourceEventRecord:
    """A label, state or milestone event. Ids are unique only within one kind."""

    event_id: int
    created_at: datetime | None
    payload: str


@dataclass(frozen=True, slots=True)
class LinkedRecord:
    """A link, commit, diff, related entity, award or the state of approvals.

    ``record_id`` is unique within its entity and dependent.
    """

    record_id: str
    position: int
    payload: str


DependentRecords = tuple[DiscussionRecord, ...] | tuple[ResourceEventRecord, ...] | tuple[LinkedRecord, ...]


@dataclass(frozen=True, slots=True)
class DependentSet:
    """All of one dependent of one entity, complete to the last page: it replaces the ledger's records.

    ``source_version``: the state of the entity it belongs to, if GitLab reports it (commits and diffs: the merge
    request's ``sha`` and target branch). If unchanged, it need not be fetched again.
    """

    key: EntityKey
    dependent: Dependent
    fetched_at: datetime
    records: DependentRecords
    source_version: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """A document with the hash of its text: what docs passes to embed."""

    document_id: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A rendered document. ``discussion_id`` only where ``kind`` is ``discussion``."""

    document_id: str
    kind: str
    key: EntityKey
    title: str
    content: str
    content_hash: str
    web_url: str | None
    state: str
    labels: tuple[str, ...]
    author: str | None
    confidential: bool
    internal: bool
    created_at: datetime | None
    updated_at: datetime | None
    discussion_id: str | None = None

    @property
    def version(self) -> DocumentVersion:
        return DocumentVersion(self.document_id, self.content_hash)
