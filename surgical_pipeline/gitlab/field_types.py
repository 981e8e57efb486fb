"""The kinds of values in GitLab's answers, as servers from 11 to 18 write them: ids, times, days, flags, lists."""

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

MAX_ID = 2**63 - 1

PositiveId = Annotated[int, Field(strict=True, gt=0, le=MAX_ID)]


def _utc(value: object) -> object:
    """An ISO 8601 text as an aware UTC time; anything else but None is refused."""
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("a time must be ISO 8601 text")  # noqa: TRY004  pydantic turns ValueError into its own
    try:
        moment = datetime.fromisoformat(value.removesuffix(" UTC"))  # the form that webhooks use
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("a time must be ISO 8601 text") from None


def _day(value: object) -> object:
    """The day of an ISO date; old servers sent a whole time."""
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str):
        raise ValueError("a date must be ISO 8601 text")  # noqa: TRY004  pydantic turns ValueError into its own
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise ValueError("a date must be ISO 8601 text") from None


def _none_as_empty(value: object) -> object:
    return () if value is None else value


def _none_as_false(value: object) -> object:
    return False if value is None else value


UtcTime = Annotated[datetime, BeforeValidator(_utc)]
Day = Annotated[date, BeforeValidator(_day)]
Flag = Annotated[bool, Field(strict=True), BeforeValidator(_none_as_false)]


def _tracker_id(value: object) -> int | str:
    """GitLab's own ids are positive integers; ``closes_issues`` may name an issue of another tracker by text."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID:
        return value
    if isinstance(value, str) and value:
        return value
    raise ValueError("an id is a positive integer, or text for another tracker")


TrackerId = Annotated[int | str, PlainValidator(_tracker_id)]
NullIsEmpty = BeforeValidator(_none_as_empty)
"""For lists that some servers send as null."""


def _none_where_unreadable(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        return None


NoneWhereUnreadable = WrapValidator(_none_where_unreadable)
"""For optional parts of a text: a bad value must not cost the whole thread."""
