"""A ledger with days of runs as they might be, for the page `report`: made at random, the same each time."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.ledger.columns import columns
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger

PROJECTS = ((7, "acme/rocket"), (8, "acme/ground-station"), (9, "acme/console"))
MODEL = "wordllama-256"
_RUN_COLUMNS = (
    "run_id", "mode", "trigger", "status", "phase", "scope", "project_id", "project_path", "queued_at", "started_at",
    "heartbeat_at", "finished_at", "cancelled_at", "warnings_count", "requested", "ingested", "failed",
    "documents_regenerated", "documents_embedded", "lock_windows", "lock_wait_ms", "lock_held_ms",
    "longest_lock_held_ms", "http_requests", "http_retries", "http_rate_limited", "failure_code", "failure_message",
    "number", "events_upto",
)  # fmt: skip
_PHASE_COLUMNS = (
    "run_id", "phase", "started_at", "finished_at", "lock_windows", "lock_wait_ms", "lock_held_ms", "http_requests",
)  # fmt: skip
_OUTCOME_COLUMNS = (
    "run_id", "entity_type", "iid", "fetched", "ingested", "unchanged", "failure_code", "failure_message",
    "failure_stage",
)  # fmt: skip
_FAILURE_COLUMNS = (
    "run_id", "project_id", "project_path", "entity_type", "iid", "position", "stage", "dependent", "code", "message",
    "retryable",
)  # fmt: skip
_MESSAGES = {
    FailureCode.TIMEOUT: "the time limit of 20 s for one entity ran out while discussions was being fetched",
    FailureCode.SERVER_ERROR: "GitLab answered 502 four times: GET /api/v4/projects/7/issues/12/notes",
    FailureCode.NOT_FOUND: "acme/rocket has no such IID (any more)",
    FailureCode.RATE_LIMITED: "GitLab asked to wait 47 s, longer than the budget allows",
    FailureCode.INVALID_PAYLOAD: "GitLab gave note 90871, which the ledger has for another issue",
    FailureCode.EMBEDDER_ERROR: "the embedder answered 503",
}


@dataclass
class _Rows:
    runs: list[tuple[Any, ...]] = field(default_factory=list)
    phases: list[tuple[Any, ...]] = field(default_factory=list)
    outcomes: list[tuple[Any, ...]] = field(default_factory=list)
    failures: list[tuple[Any, ...]] = field(default_factory=list)


def fill(
    ledger: DuckDBLedger, *, runs: int, until: datetime, days: float = 7, message: str = "", seed: int = 5
) -> None:
    """Add so many runs over the days before ``until``. ``message``: added to what failures and dead letters say."""
    chance, rows = random.Random(seed), _Rows()
    moments = sorted(_moment(chance, until=until, days=days) for _ in range(runs))
    for number, at in enumerate(moments, start=1):
        _add_run(rows, chance, number=number, at=at, message=message)
    with ledger.write("fill") as tx:
        _insert(tx, "sync_runs", _RUN_COLUMNS, rows.runs)
        _insert(tx, "sync_run_phases", _PHASE_COLUMNS, rows.phases)
        _insert(tx, "entity_outcomes", _OUTCOME_COLUMNS, rows.outcomes)
        _insert(tx, "entity_failures", _FAILURE_COLUMNS, rows.failures)
        told = f"SERVER_ERROR: GitLab answered 502{message}"
        values = {"until": until, "model": MODEL, "last_run": rows.runs[-1][0], "message": told}
        for statement in (*_CONTENT.split(";\n"), _EVENTS):
            used = {name: value for name, value in values.items() if f"${name}" in statement}
            tx._connection.execute(statement, used)


def _moment(chance: random.Random, *, until: datetime, days: float) -> datetime:
    """More by day than by night."""
    while True:
        at = until - timedelta(days=days * chance.random() * 0.999)
        if chance.random() < (0.9 if 7 <= at.hour < 19 else 0.15):  # noqa: PLR2004
            return at


def _add_run(rows: _Rows, chance: random.Random, *, number: int, at: datetime, message: str) -> None:
    run_id = f"{chance.getrandbits(128):032x}"
    project_id, path = chance.choices(PROJECTS, weights=(6, 3, 1))[0]
    trigger = chance.choices(("sensor", "cli", "launchpad", "backfill"), weights=(80, 8, 6, 6))[0]
    count = (
        100
        if trigger == "backfill" and number % 9 == 0
        else chance.choices((1, 2, 3, 5, 8), (60, 15, 10, 8, 7))[0]
    )
    iids = chance.sample(range(1, 620), count)
    status = chance.choices(
        ("succeeded", "succeeded_with_warnings", "failed", "cancelled"), weights=(88, 8, 3, 1)
    )[0]
    seconds = [chance.uniform(0.15, 0.5), 0.03 + count / 900, chance.uniform(0.2, 1.5) + count / 30, 0.05, 0.3]
    reached = 3 if status in ("failed", "cancelled") else 5
    clock, requests, held = at, 0, 0.0
    for stage, took in list(zip(STAGES, seconds, strict=True))[:reached]:
        sent = {"preflight": 2 + count // 100, "dependents": 4 * count}.get(stage, 0)
        windows = {"preflight": 1, "ingest": 1 + count // 100, "dependents": 1 + count // 30}.get(stage, 2)
        end = clock + timedelta(seconds=took)
        stage_held = min(took * 600, windows * chance.uniform(8, 30))
        rows.phases.append((run_id, str(stage), clock, end, windows, chance.uniform(0, 20), stage_held, sent))
        clock, requests, held = end, requests + sent, held + stage_held
    failed = _add_outcomes(rows, chance, run=(run_id, project_id, path), iids=iids, status=status, message=message)
    code = {"failed": "NETWORK_ERROR", "cancelled": "CANCELLED"}.get(status)
    why = f"no answer from GitLab: timed out{message}" if status == "failed" else "The run was cancelled."
    phase = {"failed": "dependents", "cancelled": "cancelled"}.get(status, "done")
    limited = chance.randint(1, 6) if chance.random() < 0.02 else 0  # noqa: PLR2004
    rows.runs.append((
        run_id, "backfill" if trigger == "backfill" else "incremental" if trigger == "sensor" else "surgical", trigger,
        status, phase, f"{path}#{'+'.join(map(str, sorted(iids)[:12]))}", project_id, path,
        at - timedelta(seconds=chance.uniform(1, 5)), at, clock, clock, clock if status == "cancelled" else None,
        failed, count, count - failed, failed, count // 2, count // 2, 9, chance.uniform(0, 40), held, held / 3,
        requests, limited, limited, code, why if code else None, number,
        number if trigger == "sensor" and number % 3 == 0 else None,
    ))  # fmt: skip


def _add_outcomes(
    rows: _Rows, chance: random.Random, *, run: tuple[str, int, str], iids: list[int], status: str, message: str
) -> int:
    """Returns how many failed."""
    run_id, project_id, path = run
    failed = 0
    for place, iid in enumerate(sorted(iids)):
        kind = "merge_request" if iid % 4 == 0 else "issue"
        code, stage, dependent, position = None, None, None, 0
        if status == "failed":
            code, stage = FailureCode.NETWORK_ERROR, "dependents"
        elif status == "cancelled":
            code, stage = FailureCode.CANCELLED, "dependents"
        elif status == "succeeded_with_warnings" and place == 0:
            code = chance.choices(list(_MESSAGES), weights=(40, 20, 15, 10, 5, 10))[0]
            own = code is FailureCode.NOT_FOUND
            stage, dependent, position = ("preflight", None, 0) if own else ("dependents", "discussions", 1)
        told = f"{_MESSAGES.get(code, 'the run ended first')}{message}" if code else None  # type: ignore[arg-type]
        own_failure = code is not None and position == 0
        rows.outcomes.append((
            run_id, kind, iid, not own_failure, not own_failure, chance.random() < 0.1,  # noqa: PLR2004
            str(code) if own_failure else None, told if own_failure else None, stage if own_failure else None,
        ))  # fmt: skip
        if code is not None:
            failed += own_failure
            rows.failures.append(
                (run_id, project_id, path, kind, iid, position, stage, dependent, str(code), told, code.retryable)
            )
    return failed


def _insert(tx: DuckDBTransaction, table: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    types = dict(_column_types(tx, table))
    empty = {"entity_outcomes": ("dependents_stale_skipped", "regenerated_document_ids", "embedded_document_ids")}
    lists = empty.get(table, ())
    chosen = [f"unnest(${name}::{types[name]}[])" for name in names] + ["ARRAY[]::VARCHAR[]"] * len(lists)
    tx._connection.execute(
        f"INSERT INTO {table} ({', '.join((*names, *lists))}) SELECT {', '.join(chosen)}", columns(rows, *names)
    )


def _column_types(tx: DuckDBTransaction, table: str) -> Iterator[tuple[str, str]]:
    yield from tx._connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]
    ).fetchall()


_CONTENT = """
INSERT INTO projects (project_id, path, run_id, fetched_at, payload)
VALUES (7, 'acme/rocket', $last_run, $until, '{}'), (8, 'acme/ground-station', $last_run, $until, '{}'),
       (9, 'acme/console', $last_run, $until, '{}');
INSERT INTO entities (
    project_id, entity_type, iid, gitlab_id, title, state, updated_at, confidential, run_id, fetched_at,
    replaced_updated_at, payload)
SELECT 7, CASE WHEN i % 4 = 0 THEN 'merge_request' ELSE 'issue' END, i, i, 'Title', 'opened',
    run.queued_at - to_milliseconds(CAST(3000 + hash(i) % 9000 AS BIGINT)), FALSE, run.run_id, run.started_at,
    run.queued_at - INTERVAL 3 DAY, '{}'
FROM range(1, 620) AS t(i)
JOIN sync_runs AS run ON run.number = 1 + (i * 7) % (SELECT COUNT(*) FROM sync_runs);
INSERT INTO documents (
    document_id, kind, project_id, entity_type, iid, title, content, content_hash, state, labels, confidential,
    internal, run_id)
SELECT 'issue:7:' || i, 'issue', 7, 'issue', i, 'Title', 'text', 'h' || i, 'opened', ARRAY[]::VARCHAR[], FALSE, FALSE,
    $last_run
FROM range(1, 1490) AS t(i);
INSERT INTO embeddings
SELECT document_id, 0, $model, content_hash, 2, [0.6, 0.8], $until::TIMESTAMPTZ - INTERVAL 1 HOUR, run_id
FROM documents WHERE iid % 61 <> 0
"""

_EVENTS = """
INSERT INTO gitlab_events (
    event_key, seq, kind, project_id, project_path, entity_type, iid, received_at, state, attempts, run_id, reason,
    settled_at)
SELECT 'done-' || number, number, 'note', 7, 'acme/rocket', 'issue', 12, queued_at - INTERVAL 4 SECOND, 'done', 0,
    run_id, NULL, finished_at
FROM sync_runs WHERE events_upto IS NOT NULL
UNION ALL
SELECT 'dead-' || i, 100000 + i, 'note', 7, 'acme/rocket', 'issue', 100 + i, $until::TIMESTAMPTZ - INTERVAL 1 DAY,
    'dead', 5, NULL, $message, $until::TIMESTAMPTZ - INTERVAL 20 HOUR
FROM range(3) AS t(i)
UNION ALL
SELECT 'pending-' || i, 200000 + i, 'issue', 7, 'acme/rocket', 'issue', 200 + i,
    $until::TIMESTAMPTZ - to_seconds(i * 40), 'pending', 0, NULL, NULL, NULL
FROM range(1, 5) AS t(i)
"""
