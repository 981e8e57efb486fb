"""What the client passes on unchecked, with the time at which its fetch began."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FetchedEntities:
    """A batch's answer: JSON objects, unchecked. ``fetched_at``: when the fetch began, by GitLab's clock."""

    items: tuple[dict[str, object], ...]
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class FetchedEntity:
    """One JSON object, unchecked. ``fetched_at``: when the fetch began, by GitLab's clock."""

    item: dict[str, object]
    fetched_at: datetime
