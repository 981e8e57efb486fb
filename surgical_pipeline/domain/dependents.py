"""Dependents of an issue or a merge request: fetched page by page after the entity itself."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from surgical_pipeline.domain.scope import EntityType, ScopeError

_BOTH = frozenset(EntityType)
_ISSUE = frozenset({EntityType.ISSUE})
_MERGE_REQUEST = frozenset({EntityType.MERGE_REQUEST})


class Dependent(StrEnum):
    """``applies_to``: the entity types that have it in GitLab."""

    applies_to: frozenset[EntityType]

    def __new__(cls, value: str, applies_to: frozenset[EntityType]) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.applies_to = applies_to
        return member

    DISCUSSIONS = ("discussions", _BOTH)
    LABEL_EVENTS = ("label_events", _BOTH)
    STATE_EVENTS = ("state_events", _BOTH)
    MILESTONE_EVENTS = ("milestone_events", _BOTH)
    LINKS = ("links", _ISSUE)
    CLOSED_BY = ("closed_by", _ISSUE)
    COMMITS = ("commits", _MERGE_REQUEST)
    DIFFS = ("diffs", _MERGE_REQUEST)
    CLOSES_ISSUES = ("closes_issues", _MERGE_REQUEST)
    APPROVALS = ("approvals", _MERGE_REQUEST)
    AWARD_EMOJI = ("award_emoji", _BOTH)


CORE_DEPENDENTS = (
    Dependent.DISCUSSIONS,
    Dependent.LABEL_EVENTS,
    Dependent.STATE_EVENTS,
    Dependent.MILESTONE_EVENTS,
)
"""Fetched unless the run's config says otherwise: what documents are made of."""

EVENT_DEPENDENTS = frozenset({Dependent.LABEL_EVENTS, Dependent.STATE_EVENTS, Dependent.MILESTONE_EVENTS})

CODE_DEPENDENTS = frozenset({Dependent.COMMITS, Dependent.DIFFS})
"""Change only with the merge request's head (``sha``) and target branch."""


def choose_dependents(names: Iterable[str]) -> tuple[Dependent, ...]:
    """The dependents of these names, each once, in the order above.

    Raises:
        ScopeError: an unknown name; the message names it and the known ones.
    """
    wanted = set(names)
    unknown = sorted(wanted - set(Dependent))
    if unknown:
        raise ScopeError(f"unknown dependents {', '.join(unknown)}: choose of {', '.join(Dependent)}")
    return tuple(one for one in Dependent if one in wanted)
