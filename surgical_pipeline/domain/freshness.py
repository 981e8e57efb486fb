"""When what GitLab answered can be trusted to be its last word."""

from datetime import datetime, timedelta

SETTLING_TIME = timedelta(seconds=65)
"""GitLab writes ``updated_at`` for notes and labels at most once in 60 s; 5 s are for clocks that differ."""


def is_settled(updated_at: datetime, fetched_at: datetime) -> bool:
    """Whether any later change of the entity will show in its ``updated_at``.

    Fetched sooner than that, a note or label that came right after the fetch may leave ``updated_at`` as it is,
    and nobody who compares timestamps would ever notice: such an entity deserves one more fetch.
    """
    return fetched_at - updated_at >= SETTLING_TIME
