"""What the ledger knows: its projects, and which issues and merge requests of theirs it has."""

from collections.abc import Sequence
from dataclasses import dataclass

from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.columns import key_of
from surgical_pipeline.ledger.protocol import Transaction


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A current project of the ledger. ``path`` is as GitLab spelled it when it was last fetched."""

    project_id: int
    path: str


def known_projects(tx: Transaction) -> list[KnownProject]:
    """All current projects by id: not those that another one superseded under their path."""
    return [KnownProject(row["project_id"], row["path"]) for row in tx.rows("load_current_projects")]


def known_entities(tx: Transaction, project_id: int) -> Sequence[EntityKey]:
    """Its issues, then its merge requests, each by IID: live and missed ones, not tombstoned ones."""
    return [key_of(row) for row in tx.rows("load_known_entities", project_id=project_id)]
