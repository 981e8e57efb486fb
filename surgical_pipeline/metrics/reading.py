"""From the ledger to samples. Each part is read in a window of its own, so that writers come in between."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import product

from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.ledger.backlog import count_backlog
from surgical_pipeline.ledger.events import count_events, pending_projects
from surgical_pipeline.ledger.inbox import load_deliveries
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.metrics import catalog
from surgical_pipeline.metrics.catalog import Metric, Sample

LATELY = timedelta(hours=1)
Part = Callable[[Transaction], list[Sample]]
_Counts = dict[tuple[str, ...], float]
"""By the values of a metric's labels."""


def parts(watches: Sequence[Watch], model: str | None) -> list[Part]:
    """All that the ledger can tell, the most important first.

    Args:
        watches: what sensors watch; events of other projects wait for nothing. Empty: they watch all.
        model: of the configured embedder; None if it is not known, and then nothing is said of vectors.
    """
    return [
        _runs,
        partial(_events, watches=watches),
        _failures,
        _lately,
        _lags,
        partial(_documents, model=model),
    ]


def _runs(tx: Transaction) -> list[Sample]:
    counts: _Counts = {(row["status"], row["trigger"]): row["runs"] for row in tx.rows("metrics_runs")}
    (life,) = tx.rows("metrics_signs_of_life")
    last = life["last_success_at"]
    return [
        *_all_of(catalog.RUNS, counts),
        catalog.RUNS_EVER.sample(life["runs_ever"]),
        catalog.HEARTBEAT_AGE.sample(_age(life["oldest_heartbeat_at"], tx.now)),
        catalog.QUEUED_AGE.sample(_age(life["oldest_queued_at"], tx.now)),
        *([catalog.LAST_SUCCESS.sample(last.timestamp())] if last else []),
    ]


def _failures(tx: Transaction) -> list[Sample]:
    rows = tx.rows("metrics_failures")
    return [
        *_all_of(catalog.RUN_FAILURES, {(row["code"],): row["runs"] for row in rows}),
        *_all_of(catalog.ENTITY_FAILURES, {(row["code"],): row["failures"] for row in rows}),
    ]


def _lately(tx: Transaction) -> list[Sample]:
    rows = tx.rows("report_runs_by_time", since=tx.now - LATELY, until=tx.now, width=LATELY.total_seconds())
    runs: _Counts = {}
    for row in rows:
        runs[row["status"],] = runs.get((row["status"],), 0) + row["runs"]
    sums = {
        catalog.HOUR_ENTITIES: sum(row["entities"] for row in rows),
        catalog.HOUR_REQUESTS: sum(row["requests"] for row in rows),
        catalog.HOUR_RETRIES: sum(row["retries"] for row in rows),
        catalog.HOUR_RATE_LIMITED: sum(row["rate_limited"] for row in rows),
        catalog.HOUR_WINDOWS: sum(row["lock_windows"] for row in rows),
        catalog.HOUR_LOCK_WAIT: sum(row["lock_wait_ms"] for row in rows) / 1000,
        catalog.HOUR_LOCK_HELD: sum(row["lock_held_ms"] for row in rows) / 1000,
        catalog.HOUR_LONGEST_HELD: max((row["longest_lock_held_ms"] for row in rows), default=0) / 1000,
    }
    return [*_all_of(catalog.HOUR_RUNS, runs), *(metric.sample(value) for metric, value in sums.items())]


def _events(tx: Transaction, *, watches: Sequence[Watch]) -> list[Sample]:
    oldest = min(
        (
            project.oldest_at
            for project in pending_projects(tx)
            if not watches or any(watch.covers(project.project_id, project.project) for watch in watches)
        ),
        default=None,
    )
    return [
        *_all_of(catalog.EVENTS, {(str(state),): count for state, count in count_events(tx).items()}),
        catalog.EVENT_AGE.sample(_age(oldest, tx.now)),
        *of_deliveries(catalog.DELIVERIES, load_deliveries(tx)),
    ]


def _lags(tx: Transaction) -> list[Sample]:
    return [
        catalog.LAGS.sample(max(0.0, row[statistic]), row["lag"], statistic)
        for row in tx.rows("report_lags", since=tx.now - LATELY, until=tx.now)
        for statistic in catalog.STATISTIC.values
        if row["measured"]
    ]


def _documents(tx: Transaction, *, model: str | None) -> list[Sample]:
    found = [catalog.DOCUMENTS.sample(tx.column("report_live_documents")[0])]
    if model is not None:
        found.append(catalog.WITHOUT_VECTOR.sample(count_backlog(tx, model, None)))
    return found


def of_deliveries(metric: Metric, counted: DeliveryCounts) -> list[Sample]:
    return [metric.sample(getattr(counted, result), result) for result in catalog.RESULT.values]


def _all_of(metric: Metric, counts: _Counts) -> list[Sample]:
    """Also those that were not counted, as 0: only what was 0 before can be seen to grow."""
    found = dict.fromkeys(product(*(label.values for label in metric.labels)), 0.0)
    for labels, count in counts.items():
        bounded = metric.sample(count, *labels)
        found[bounded.labels] = found.get(bounded.labels, 0.0) + bounded.value
    return [metric.sample(value, *labels) for labels, value in found.items()]


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
