"""What a hook announces, as a value: that one issue or merge request changed."""

from dataclasses import dataclass
from datetime import datetime

from surgical_pipeline.domain.scope import EntityKey


@dataclass(frozen=True, slots=True)
class GitLabEvent:
    """One delivery of a hook that names a project and an issue or merge request.

    Args:
        key: identifies the event: GitLab's ``webhook-id``, else its ``Idempotency-Key``, else a fresh random one.
        kind: GitLab's ``object_kind``, such as ``note``.
        project_id: GitLab's numeric id.
        project_path: the full path as the hook gives it; None if it does not.
        entity: the issue or merge request.
        received_at: when it arrived, by the receiver's clock, in UTC.
        sent_at: when GitLab sent it, by GitLab's clock, from ``webhook-timestamp`` of a signed delivery; None if
            it was not signed.
        occurred_at: ``updated_at`` of what changed, as the body gives it; None if it cannot be read.
    """

    key: str
    kind: str
    project_id: int
    project_path: str | None
    entity: EntityKey
    received_at: datetime
    sent_at: datetime | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that asks for nothing; ``reason`` is a sentence for the log, without anything from the body."""

    reason: str
