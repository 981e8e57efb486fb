"""How a report writes numbers, times and our own codes."""

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

LAGS = {
    "event_to_request": "from a hook's arrival to the request for its run",
    "event_to_done": "from a hook's arrival until its issue or merge request was up to date",
    "change_to_request": "from a change in GitLab that no hook told to the request for its run",
    "request_to_start": "from the request for a run to its start",
}
"""Between which moments a lag lies, in the order in which they are told."""


def moment(at: datetime, *, seconds: bool = False) -> str:
    """A time in UTC, without its zone: the page names it once."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if seconds else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def seconds_in_words(seconds: float | None) -> str:
    """``40 ms``, ``1.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; ``not ended`` for None."""
    if seconds is None:
        return "not ended"
    whole = round(seconds)
    if abs(whole) < _MINUTE:
        return _below_a_minute(seconds)
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return _two(whole, _DAY, "d", _HOUR, "h")


def _below_a_minute(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if abs(seconds) < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  tenths matter below ten


def status_word(status: str) -> str:
    """A status of a run as people say it."""
    return status.replace("_", " ")


def _two(whole: int, unit: int, name: str, smaller: int, its_name: str) -> str:
    rest = whole % unit // smaller
    return f"{whole // unit:,} {name}" + (f" {rest} {its_name}" if rest else "")
