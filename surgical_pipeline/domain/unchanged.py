"""Whether an entity is as the ledger has it, so that its dependents need not be fetched: the rule of only_changed.

The record decides, not ``updated_at`` alone: pushed commits do not move that, but ``sha``; a deleted note moves
``user_notes_count``, an emoji ``upvotes``, a renamed label ``labels``. What no field of the record shows (a note
edited later than a minute after its entity's last change, an emoji on a note) is not noticed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.freshness import is_settled
from surgical_pipeline.domain.records import EntityRecord

VOLATILE_FIELDS = frozenset({"merge_status", "detailed_merge_status", "has_conflicts", "avatar_url"})
"""Fields that change without anything that we keep: GitLab computes them when it is asked, or for display."""


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """What the ledger has of a live entity.

    ``same_since``: when the first fetch began that brought the payload as it is, volatile fields aside.
    ``dependents``: when each was last fetched whole. ``current_code``: those of them that belong to the merge
    request's present code for certain, whenever they were fetched.
    """

    payload: str
    fetched_at: datetime
    same_since: datetime
    dependents: Mapping[Dependent, datetime] = field(default_factory=dict)
    current_code: frozenset[Dependent] = frozenset()


def is_unchanged(
    new: EntityRecord, stored: StoredEntity, *, dependents: Iterable[Dependent], believed: datetime
) -> bool:
    """Whether ``new`` shows what is stored, and each of ``dependents`` that it has was fetched for that.

    Fetched for that: not before the record became what it is, and so long after ``updated_at`` that any later
    change would show in it. Fetch times after ``believed`` come from a wrong clock and vouch for nothing.
    """
    wanted = [one for one in dependents if new.key.entity_type in one.applies_to]
    return (
        stored.fetched_at <= believed
        and all(_is_covered(one, new, stored=stored, believed=believed) for one in wanted)
        and same_content(stored.payload, new.payload)
    )


def _is_covered(dependent: Dependent, new: EntityRecord, *, stored: StoredEntity, believed: datetime) -> bool:
    fetched_at = stored.dependents.get(dependent)
    if fetched_at is None or fetched_at > believed:
        return False
    if dependent in stored.current_code:
        return True
    return fetched_at >= stored.same_since and is_settled(new.updated_at, fetched_at)


def same_content(one: str, other: str) -> bool:
    """Whether two payloads of one entity agree in all fields that both have, volatile ones aside.

    Lists of GitLab give fewer fields than single answers.
    """
    return one == other or _agree(json.loads(one), json.loads(other))


def _agree(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_agree(one[name], other[name]) for name in (one.keys() & other.keys()) - VOLATILE_FIELDS)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    return type(one) is type(other) and one == other
