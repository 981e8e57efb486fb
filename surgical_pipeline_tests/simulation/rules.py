"""The rules that keep a ledger right, each to be switched off, so that a simulation shows what it is for."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from surgical_pipeline.events import debounce, hooks
from surgical_pipeline.events.debounce import Waiting
from surgical_pipeline.ledger import events
from surgical_pipeline.ledger.postgres import turns
from surgical_pipeline.ledger.postgres.transaction import PostgresTransaction
from surgical_pipeline_tests.simulation.checks import AGAIN

_ALWAYS_BEFORE = datetime.min.replace(tzinfo=UTC)
_POLLING = "surgical_pipeline.defs.polling"
_SENSORS = "surgical_pipeline_tests.simulation.sensors"
"""Where a simulation asks whether anything is left to settle."""
_WEBHOOKS = "surgical_pipeline.defs.sensors.gitlab_webhooks"


@contextmanager
def _settle_rule() -> Iterator[None]:
    """What was fetched soon after its change is not fetched once more."""
    with contextlib.ExitStack() as patches:
        for module in (_POLLING, _WEBHOOKS, _SENSORS):
            patches.enter_context(patch(f"{module}.due_entities", _nothing_is_due))
        yield


@contextmanager
def _freshness_guard() -> Iterator[None]:
    """Whatever is stored counts as fetched in the future, which is never believed: every write wins."""
    guard = "latest_believed"
    with (
        patch(f"surgical_pipeline.ledger.content.{guard}", _nothing_is_believed),
        patch(f"surgical_pipeline.ledger.dependents.{guard}", _nothing_is_believed),
    ):
        yield


@contextmanager
def _overlap() -> Iterator[None]:
    """A list is read from where the last reading of it began, and not from a while before."""
    with patch("surgical_pipeline.events.list_state.OVERLAP", timedelta()):
        yield


@contextmanager
def _same_delivery() -> Iterator[None]:
    """A delivery that comes twice is two events."""
    known, numbers = hooks._key_of, count()

    def never_the_same(headers: Mapping[str, str]) -> str:
        return f"{known(headers)}{AGAIN}{next(numbers)}"

    with patch("surgical_pipeline.events.hooks._key_of", never_the_same):
        yield


@contextmanager
def _one_ask_at_a_time() -> Iterator[None]:
    """An entity is asked for while a run that takes its events has not ended."""
    with (
        patch(f"{_WEBHOOKS}.held_by", lambda *_: set()),
        patch("surgical_pipeline.events.cursor.InboxCursor.held", lambda *_: set()),
        patch(f"{_WEBHOOKS}.waiting_entities", _all_that_wait),
    ):
        yield


@contextmanager
def _retry_of_events() -> Iterator[None]:
    """Events that a run has tried in vain are not asked for again."""
    ripe = debounce.is_ripe

    def is_ripe(one: Waiting, now: datetime) -> bool:
        return one.attempted_at is None and ripe(one, now)

    with patch("surgical_pipeline.events.debounce.is_ripe", is_ripe):
        yield


@contextmanager
def _retry_of_polling() -> Iterator[None]:
    """What a run did not bring is not asked for again."""
    with patch("surgical_pipeline.events.changes._is_asked_again", lambda *_, **__: False):
        yield


@contextmanager
def _rest_of_a_backfill() -> Iterator[None]:
    """Who resumes a backfill gets all of it again, done or not."""
    with patch("surgical_pipeline.defs.backfill_life.left_of", lambda _ledger, backfill, _runs: backfill.scopes):
        yield


@contextmanager
def _same_backfill() -> Iterator[None]:
    """A backfill that is under way already is launched once more."""
    with patch("surgical_pipeline.defs.backfills._under_way", lambda *_: None):
        yield


@contextmanager
def _comparison() -> Iterator[None]:
    """A run of what changed takes everything for unchanged whose dependents were fetched late enough."""
    with patch("surgical_pipeline.domain.unchanged.same_content", lambda *_: True):
        yield


def _nothing_is_due(*_: Any, **__: Any) -> list[Any]:
    return []


def _nothing_is_believed(_present: datetime | None) -> datetime:
    return _ALWAYS_BEFORE


def _all_that_wait(tx: Any, projects: Any, **options: Any) -> Any:
    """Those that an open run has, too: none was heard of lately enough."""
    with patch.object(events, "HEARD_WITHIN", timedelta(days=-1)):
        return events.waiting_entities(tx, projects, **options)


@contextmanager
def _time_after_a_wait() -> Iterator[None]:
    """What was written during a wait is judged by the time before it."""
    with patch.object(PostgresTransaction, "wait_for_turn", lambda *_, **__: None):
        yield


def _turns_before(*queries: str) -> Callable[[], Any]:
    """These queries wait for nobody."""

    def off() -> Any:
        kept = {query: before for query, before in turns.BEFORE.items() if query not in queries}
        return patch("surgical_pipeline.ledger.postgres.transaction.BEFORE", kept)

    return off


RULES: Mapping[str, Callable[[], Any]] = {
    "the settle rule": _settle_rule,
    "the freshness guard": _freshness_guard,
    "the overlap of the cursor": _overlap,
    "deduplication of deliveries": _same_delivery,
    "one ask at a time": _one_ask_at_a_time,
    "retry of events": _retry_of_events,
    "retry of what polling found": _retry_of_polling,
    "resuming what is left": _rest_of_a_backfill,
    "one backfill under way": _same_backfill,
    "the comparison of only_changed": _comparison,
}

ON_POSTGRES: Mapping[str, Callable[[], Any]] = {
    "the freshness guard": _freshness_guard,
    "the time after a wait": _time_after_a_wait,
    "the turn of runs' numbers": _turns_before("insert_run", "queue_run"),
    "the lock of a run before its outcomes": _turns_before("update_outcomes", "insert_failures"),
}
"""Those that matter where windows overlap."""
