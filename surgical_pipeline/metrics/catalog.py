"""Every metric by its name, with what it means. Dashboard, alert rules and docs/watching.md know no others."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.lifecycle import RunStatus, Trigger
from surgical_pipeline.ledger.events import EventState

OTHER = "other"
"""The value of a label for whatever a newer version may store: no text of the ledger becomes a label."""


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Label:
    """``values``: all that it can have, besides ``OTHER``."""

    name: str
    values: tuple[str, ...]

    def bounded(self, value: str) -> str:
        return value if value in self.values else OTHER


@dataclass(frozen=True, slots=True)
class Metric:
    """``name``: as Prometheus sees it; that of a counter ends in ``_total``."""

    name: str
    help: str
    labels: tuple[Label, ...] = ()

    @property
    def kind(self) -> Kind:
        return Kind.COUNTER if self.name.endswith("_total") else Kind.GAUGE

    def sample(self, value: float, *labels: str) -> "Sample":
        """A value of it, with one value for each label, in their order."""
        bounded = (label.bounded(given) for label, given in zip(self.labels, labels, strict=True))
        return Sample(self, float(value), tuple(bounded))


class Sample(NamedTuple):
    metric: Metric
    value: float
    labels: tuple[str, ...]


STATUS = Label("status", tuple(RunStatus))
TRIGGER = Label("trigger", tuple(Trigger))
CODE = Label("code", tuple(FailureCode))
STATE = Label("state", tuple(EventState))
RESULT = Label("result", ("accepted", "ignored", "refused_secret", "refused_age"))
LAG = Label("lag", ("event_to_request", "event_to_done", "change_to_request", "request_to_start"))
STATISTIC = Label("statistic", ("median", "p95", "longest"))

LEDGER_UP = Metric("surgical_ledger_up", "1 if all of the ledger could be read for this scrape, else 0")
LEDGER_TROUBLE = Metric("surgical_ledger_trouble", "Present, and 1, if it could not: why", (CODE,))
LEDGER_READ_SECONDS = Metric("surgical_ledger_read_seconds", "How long reading the ledger took, waiting included")

RUNS = Metric("surgical_runs", "Runs that the ledger holds now; pruned ones are gone", (STATUS, TRIGGER))
RUNS_EVER = Metric("surgical_runs_total", "Runs that the ledger ever knew")
HEARTBEAT_AGE = Metric(
    "surgical_oldest_heartbeat_seconds", "Age of the oldest heartbeat of a running run; 0 if none runs"
)
QUEUED_AGE = Metric(
    "surgical_oldest_queued_seconds", "For how long a run has been waiting to start; 0 if none waits"
)
LAST_SUCCESS = Metric(
    "surgical_last_success_timestamp_seconds",
    "When a run last succeeded, with warnings or without; absent if none did",
)
RUN_FAILURES = Metric("surgical_run_failures_total", "Runs that ever ended with this code", (CODE,))
ENTITY_FAILURES = Metric(
    "surgical_entity_failures_total", "Failures of entities and their dependents in runs that ended", (CODE,)
)

HOUR_RUNS = Metric("surgical_last_hour_runs", "Runs that began in the last hour", (STATUS,))
HOUR_ENTITIES = Metric("surgical_last_hour_entities", "Issues and merge requests that these were asked for")
HOUR_REQUESTS = Metric("surgical_last_hour_http_requests", "Requests to GitLab of these runs")
HOUR_RETRIES = Metric("surgical_last_hour_http_retries", "How many of the requests were retries")
HOUR_RATE_LIMITED = Metric("surgical_last_hour_http_rate_limited", "Answers 429 to these runs")
HOUR_WINDOWS = Metric("surgical_last_hour_lock_windows", "Windows of these runs on the ledger")
HOUR_LOCK_WAIT = Metric("surgical_last_hour_lock_wait_seconds", "How long these windows waited for the ledger")
HOUR_LOCK_HELD = Metric("surgical_last_hour_lock_held_seconds", "How long these windows had the ledger")
HOUR_LONGEST_HELD = Metric("surgical_last_hour_longest_lock_held_seconds", "The longest of these windows")

EVENTS = Metric("surgical_events", "Events of hooks in the inbox", (STATE,))
EVENT_AGE = Metric(
    "surgical_oldest_pending_event_seconds",
    "For how long the oldest event of a watched project waits; 0 if none does",
)
DELIVERIES = Metric(
    "surgical_hook_deliveries_total", "Deliveries of all receivers, as the ledger knows them", (RESULT,)
)
LAGS = Metric(
    "surgical_lag_seconds",
    "How far behind sensors and the queue were in the last hour; absent if nothing was measured",
    (LAG, STATISTIC),
)

DOCUMENTS = Metric("surgical_documents", "Documents that can be searched")
WITHOUT_VECTOR = Metric(
    "surgical_documents_without_vector", "Documents without vectors of their text by the configured embedder"
)

SPOOL_UP = Metric("surgical_receiver_spool_up", "1 if this receiver can make events durable, else 0")
SPOOL_EVENTS = Metric("surgical_receiver_spool_events", "Events that wait in this receiver's spool for the ledger")
RECEIVED = Metric("surgical_receiver_deliveries_total", "Deliveries to this receiver's spool", (RESULT,))
DRAIN_TROUBLE = Metric(
    "surgical_receiver_drain_trouble_seconds",
    "For how long this receiver has not been able to reach the ledger; 0: it can",
)

OF_LEDGER = (
    LEDGER_UP,
    LEDGER_TROUBLE,
    LEDGER_READ_SECONDS,
    RUNS,
    RUNS_EVER,
    HEARTBEAT_AGE,
    QUEUED_AGE,
    LAST_SUCCESS,
    RUN_FAILURES,
    ENTITY_FAILURES,
    HOUR_RUNS,
    HOUR_ENTITIES,
    HOUR_REQUESTS,
    HOUR_RETRIES,
    HOUR_RATE_LIMITED,
    HOUR_WINDOWS,
    HOUR_LOCK_WAIT,
    HOUR_LOCK_HELD,
    HOUR_LONGEST_HELD,
    EVENTS,
    EVENT_AGE,
    DELIVERIES,
    LAGS,
    DOCUMENTS,
    WITHOUT_VECTOR,
)
"""What the ledger is asked for, in the order in which it is shown."""
OF_RECEIVER = (SPOOL_UP, SPOOL_EVENTS, RECEIVED, DRAIN_TROUBLE)
"""What only a receiver of hooks can tell."""
