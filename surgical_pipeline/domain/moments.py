"""Times as people write them in settings and options."""

from datetime import UTC, datetime

_DATE_LENGTH = len("2026-01-31")


def moment_of(text: str) -> datetime:
    """A date, whose first moment in UTC is meant, or a time with its zone.

    Raises:
        ValueError: it is neither; the sentence says what is allowed.
    """
    try:
        moment = datetime.fromisoformat(text)
        if len(text) == _DATE_LENGTH:
            return moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        f"must be a date or a time with its zone, such as 2026-01-31 or 2026-01-31T08:00:00Z, not {text!r}"
    )
