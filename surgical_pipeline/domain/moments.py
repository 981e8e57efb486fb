"""Times and lengths of time as people write them in settings and options."""

import re
from datetime import UTC, datetime, timedelta

_DATE_LENGTH = len("2026-01-31")
_LENGTH = re.compile(r"([0-9]{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


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


def length_of(text: str) -> timedelta | None:
    """Such as ``30m``, ``12h``, ``7d`` or ``4w``; None: it is none."""
    found = _LENGTH.fullmatch(text.strip())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
