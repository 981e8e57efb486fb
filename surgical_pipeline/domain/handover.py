"""What each stage hands to the next: small picklable values, so that a run can be re-executed from any stage.

Payloads are not in them: from preflight to ingest they are in a snapshot file, afterwards in the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from surgical_pipeline.domain.failures import EntityFailure
from surgical_pipeline.domain.records import DocumentVersion, ProjectRecord
from surgical_pipeline.domain.scope import EntityKey


@dataclass(frozen=True, slots=True)
class GitLabTime:
    """GitLab's time at a reading of a machine's uptime, for other processes of it since that ``boot``."""

    at: datetime
    uptime: float
    boot: str


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """Preflight to ingest.

    ``missing``: IIDs that neither the list nor the single request returned while the project answered.
    ``gitlab_time``: if ingest has a process of its own.
    ``asked_at``: when preflight began to ask for them, by GitLab's clock, in UTC; a miss counts from that time.
    """

    project: ProjectRecord
    asked_at: datetime
    snapshots: Path
    fetched: tuple[EntityKey, ...]
    missing: tuple[EntityKey, ...]
    failures: tuple[EntityFailure, ...]
    gitlab_time: GitLabTime | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Ingest to dependents to docs: entities whose rows in the ledger are as fresh as this run can make them.

    ``gitlab_ids``: their global ids, by which dependents name their owner. ``unchanged``: those of ``keys`` whose
    dependents need not be fetched.
    """

    project_id: int
    project_path: str
    keys: tuple[EntityKey, ...]
    gitlab_ids: Mapping[EntityKey, int] = field(default_factory=dict)
    unchanged: frozenset[EntityKey] = frozenset()


@dataclass(frozen=True, slots=True)
class GenerateDocsResult:
    """Docs to embed. ``documents``: exactly those that this run wrote, with the hash of the text it wrote."""

    documents: tuple[DocumentVersion, ...]
    unchanged: int
    errored: int

    @property
    def regenerated(self) -> int:
        return len(self.documents)

    @property
    def regenerated_document_ids(self) -> tuple[str, ...]:
        return tuple(document.document_id for document in self.documents)


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """Ids of documents by the outcome of their vectors; together they are exactly embed's input."""

    embedded: tuple[str, ...]
    reused: tuple[str, ...]
    superseded: tuple[str, ...]
    failed: tuple[str, ...]
