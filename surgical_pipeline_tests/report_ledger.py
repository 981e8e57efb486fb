"""A ledger with days of runs as they might be, for the page `report`: made at random, the same each time."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger

PROJECTS = ((7, "acme/rocket"), (8, "acme/ground-station"), (9, "acme/console"))
MODEL = "wordllama-256"
_PHASES = {
    "succeeded": "done",
    "succeeded_with_warnings": "done",
    "failed": "dependents",
    "cancelled": "cancelled",
}
_ENDED_BY = {"failed": FailureCode.NETWORK_ERROR, "cancelled": FailureCode.CANCELLED}
_MESSAGES: dict[FailureCode | None, str] = {
    FailureCode.TIMEOUT: "the time limit of 20 s for one entity ran out while discussions was being fetched",
    FailureCode.SERVER_ERROR: "GitLab answered 502 four times: GET /api/v4/projects/7/issues/12/notes",
    FailureCode.NOT_FOUND: "acme/rocket has no such IID (any more)",
    FailureCode.RATE_LIMITED: "GitLab asked to wait 47 s, longer than the budget allows",
    FailureCode.INVALID_PAYLOAD: "GitLab gave note 90871, which the ledger has for another issue",
    FailureCode.EMBEDDER_ERROR: "the embedder answered 503",
}


Row = dict[str, Any]


@dataclass
class _Rows:
    sync_runs: list[Row] = field(default_factory=list)
    sync_run_phases: list[Row] = field(default_factory=list)
    entity_outcomes: list[Row] = field(default_factory=list)
    entity_failures: list[Row] = field(default_factory=list)


def fill(
    ledger: DuckDBLedger, *, runs: int, until: datetime, days: float = 7, entities: int = 620, message: str = ""
) -> None:
    """Add so many runs over the days before ``until``, of so many entities in each project.

    ``message`` is added to what failures and dead letters say.
    """
    chance, rows = random.Random(5), _Rows()
    moments = sorted(_moment(chance, until=until, days=days) for _ in range(runs))
    for number, at in enumerate(moments, start=1):
        _add_run(rows, chance, number=number, at=at, entities=entities, message=message)
    with ledger.write("fill") as tx:
        for table, of_table in vars(rows).items():
            _insert(tx, table, of_table)
        told = f"SERVER_ERROR: GitLab answered 502{message}"
        values = {"until": until, "model": MODEL, "last_run": rows.sync_runs[-1]["run_id"], "message": told}
        for statement in (*_CONTENT.split(";\n"), _EVENTS):
            used = {name: value for name, value in values.items() if f"${name}" in statement}
            tx._connection.execute(statement, used)


def _moment(chance: random.Random, *, until: datetime, days: float) -> datetime:
    """More by day than by night."""
    while True:
        at = until - timedelta(days=days * chance.random() * 0.999)
        if chance.random() < (0.9 if 7 <= at.hour < 19 else 0.15):
            return at


def _add_run(
    rows: _Rows, chance: random.Random, *, number: int, at: datetime, entities: int, message: str
) -> None:
    run_id = f"{chance.getrandbits(128):032x}"
    project_id, path = chance.choices(PROJECTS, weights=(6, 3, 1))[0]
    trigger = chance.choices(("sensor", "cli", "launchpad", "backfill"), weights=(80, 8, 6, 6))[0]
    usual = chance.choices((1, 2, 3, 5, 8), weights=(60, 15, 10, 8, 7))[0]
    iids = sorted(chance.sample(range(1, entities), 100 if trigger == "backfill" and number % 9 == 0 else usual))
    status = chance.choices(list(_PHASES), weights=(88, 8, 3, 1))[0]
    stages = list(_stages(chance, len(iids), at=at))[: 5 if status.startswith("succeeded") else 3]
    rows.sync_run_phases += [{"run_id": run_id, **stage} for stage in stages]
    run = {"run_id": run_id, "project_id": project_id, "project_path": path}
    failed = _add_outcomes(rows, chance, run=run, iids=iids, status=status, message=message)
    code = {"failed": "NETWORK_ERROR", "cancelled": "CANCELLED"}.get(status)
    end, limited = stages[-1]["finished_at"], chance.randint(1, 6) if chance.random() < 0.02 else 0
    rows.sync_runs.append(
        run
        | {
            "mode": {"backfill": "backfill", "sensor": "incremental"}.get(trigger, "surgical"),
            "trigger": trigger,
            "status": status,
            "phase": _PHASES[status],
            "scope": f"{path}#{'+'.join(map(str, iids[:12]))}",
            "queued_at": at - timedelta(seconds=chance.uniform(1, 5)),
            "started_at": at,
            "heartbeat_at": end,
            "finished_at": end,
            "cancelled_at": end if status == "cancelled" else None,
            "warnings_count": max(failed, status == "succeeded_with_warnings"),
            "requested": len(iids),
            "ingested": len(iids) - failed,
            "failed": failed,
            "documents_regenerated": len(iids) // 2,
            "documents_embedded": len(iids) // 2,
            "lock_windows": sum(stage["lock_windows"] for stage in stages),
            "lock_wait_ms": sum(stage["lock_wait_ms"] for stage in stages),
            "lock_held_ms": sum(stage["lock_held_ms"] for stage in stages),
            "longest_lock_held_ms": max(stage["lock_held_ms"] for stage in stages),
            "http_requests": sum(stage["http_requests"] for stage in stages),
            "http_retries": limited,
            "http_rate_limited": limited,
            "failure_code": code,
            "failure_message": f"no answer from GitLab: timed out{message}" if code else None,
            "number": number,
            "events_upto": number if trigger == "sensor" and number % 3 == 0 else None,
        }
    )


def _stages(chance: random.Random, count: int, *, at: datetime) -> Iterator[Row]:
    took = (chance.uniform(0.15, 0.5), 0.03 + count / 900, chance.uniform(0.2, 1.5) + count / 30, 0.05, 0.3)
    windows = (1, 1 + count // 100, 1 + count // 30, 2, 2)
    for stage, seconds, some, requests in zip(STAGES, took, windows, (2, 0, 4 * count, 0, 0), strict=True):
        end = at + timedelta(seconds=seconds)
        yield {
            "phase": str(stage),
            "started_at": at,
            "finished_at": end,
            "lock_windows": some,
            "lock_wait_ms": chance.uniform(0, 20),
            "lock_held_ms": min(seconds * 600, some * chance.uniform(8, 30)),
            "http_requests": requests,
        }
        at = end


def _add_outcomes(
    rows: _Rows, chance: random.Random, *, run: Row, iids: list[int], status: str, message: str
) -> int:
    """Returns how many failed."""
    failed = 0
    for place, iid in enumerate(iids):
        entity = {"entity_type": "merge_request" if iid % 4 == 0 else "issue", "iid": iid}
        code, stage = _ENDED_BY.get(status), "dependents"
        if status == "succeeded_with_warnings" and place == 0:
            code = chance.choices(list(_MESSAGES), weights=(40, 20, 15, 10, 5, 10))[0]
        own = code in (FailureCode.NOT_FOUND, *_ENDED_BY.values())
        told = f"{_MESSAGES.get(code, 'the run ended first')}{message}" if code else None
        failed += own
        rows.entity_outcomes.append(
            {
                "run_id": run["run_id"],
                **entity,
                "fetched": not own,
                "ingested": not own,
                "unchanged": not own and chance.random() < 0.1,
                "failure_code": str(code) if own else None,
                "failure_message": told if own else None,
                "failure_stage": stage if own else None,
            }
        )
        if code is not None:
            of_part = {"position": 0 if own else 1, "dependent": None if own else "discussions", "stage": stage}
            what = {"code": str(code), "message": told, "retryable": code.retryable}
            rows.entity_failures.append(run | entity | of_part | what)
    return failed


def _insert(tx: DuckDBTransaction, table: str, rows: list[Row]) -> None:
    names = list(rows[0])
    found = tx._connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]
    )
    types = dict(found.fetchall())
    lists = [name for name in types if types[name] == "VARCHAR[]"]
    chosen = [f"unnest(${name}::{types[name]}[])" for name in names] + ["ARRAY[]::VARCHAR[]"] * len(lists)
    tx._connection.execute(
        f"INSERT INTO {table} ({', '.join((*names, *lists))}) SELECT {', '.join(chosen)}",
        {name: [row[name] for row in rows] for name in names},
    )


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
SELECT 'issue:7:' || i, 'issue', 7, 'issue', i, 'Title', 'text', 'h' || i, 'opened', ARRAY[]::VARCHAR[], FALSE,
    FALSE, $last_run
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
