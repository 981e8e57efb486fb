"""Thousands of partitions on one DuckDB file, and several runs at once: does any of them fail, do they get slower?

One backfill with a partition for each issue. Processes take its chunks in turn and run the real job for each, side
by side on one ledger and one instance of Dagster: what its daemon does, without 3 s of a new process for each run.
"""

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from surgical_pipeline.defs.backfill_records import find_backfill
from surgical_pipeline.defs.backfill_status import status_of
from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.defs.dagster_home import opened_instance
from surgical_pipeline.defs.dagster_runs import BACKFILL_TAG
from surgical_pipeline.defs.launch import Launch
from surgical_pipeline.defs.local_backfill import NOT_YET
from surgical_pipeline.defs.sync.backfill_job import SCOPES
from surgical_pipeline.domain.backfill import BackfillProgress, Wish
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.ledger_gate import rows
from surgical_pipeline_tests.soak.child import context

PROJECT = "acme/rocket"
LIMIT_SECONDS = 4 * 3600
_OF_A_PART = 100
"""Runs by which the first and the last are compared."""


@dataclass
class PartitionsReport:
    """``registered``: keys that Dagster knows; ``progress``: of the entities of the chunks that were run.

    ``first_ms``, ``last_ms``: medians of the first and of the last runs. ``waited_ms``: the longest that a run
    waited for the ledger, all its windows together.
    """

    registered: int = 0
    launching_seconds: float = 0.0
    seconds: float = 0.0
    runs: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    progress: BackfillProgress | None = None
    counting_seconds: float = 0.0
    first_ms: float = 0.0
    last_ms: float = 0.0
    waited_ms: float = 0.0
    violations: list[str] = field(default_factory=list)


def run_partitions(home: Path, *, partitions: int, processes: int, chosen: int) -> PartitionsReport:
    """Register so many, and run ``chosen`` of them, evenly spread, in so many processes at once."""
    report = PartitionsReport()
    with RunningSandbox(build_sample(issues=partitions)) as sandbox, _moved_in(home, sandbox) as environment:
        existing = [iid for _, kind, iid in sandbox.app.state.world.sample.entities if kind == "issue"]
        iids = sorted(set(existing))[:partitions]
        backfill_id, keys = _launched(iids, report)
        mine = [keys[number * len(keys) // chosen] for number in range(chosen)]
        began = time.monotonic()
        exit_codes = _run_all(
            home, environment, backfill_id, shares=[mine[one::processes] for one in range(processes)]
        )
        report.seconds = time.monotonic() - began
        report.violations += [f"a process ended with {code}" for code in exit_codes if code]
        _look(home, backfill_id, report)
    return report


@contextmanager
def _moved_in(home: Path, sandbox: RunningSandbox) -> Iterator[dict[str, str]]:
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    own = {
        "DAGSTER_HOME": str(home),
        "GITLAB_URL": sandbox.url,
        "GITLAB_TOKEN": sandbox.token,
        "SURGICAL_LEDGER": str(home / "ledger.duckdb"),
    }
    before = dict(os.environ)
    os.environ |= own
    try:
        yield own
    finally:
        os.environ.clear()
        os.environ |= before


def _launched(iids: Sequence[int], report: PartitionsReport) -> tuple[str, Sequence[str]]:
    """A backfill that Dagster's daemon leaves alone, and its keys."""
    began = time.monotonic()
    planned = plan(Wish(scopes=(Scope.of(PROJECT, issue_iids=iids),), chunk=1), Settings.from_environment())
    with opened_instance() as instance:
        backfill_id = launch(instance, planned, status=NOT_YET).backfill_id
        report.registered = len(instance.get_dynamic_partitions(str(SCOPES.name)))
    report.launching_seconds = time.monotonic() - began
    return backfill_id, planned.chunks


def _run_all(
    home: Path, environment: Mapping[str, str], backfill_id: str, *, shares: Sequence[Sequence[str]]
) -> list[int | None]:
    """Exit codes."""
    server = context()
    children = [
        server.Process(target=_run_chunks, args=(home, dict(environment), backfill_id, list(share)))
        for share in shares
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(LIMIT_SECONDS)
    return [child.exitcode for child in children]


def _run_chunks(home: Path, environment: Mapping[str, str], backfill_id: str, keys: Sequence[str]) -> None:
    os.environ |= environment
    os.chdir(home)
    ledger = DuckDBLedger(home / "ledger.duckdb")
    with opened_instance() as instance:
        backfill = find_backfill(instance, backfill_id).record
        config = {**(backfill.run_config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        tags = {**backfill.tags, BACKFILL_TAG: backfill_id}
        for key in keys:
            Launch(config, instance=instance, ledger=ledger, tags=tags, partition=key).execute()


def _look(home: Path, backfill_id: str, report: PartitionsReport) -> None:
    ledger = DuckDBLedger(home / "ledger.duckdb")
    began = time.monotonic()
    with opened_instance() as instance:
        status = status_of(instance, ledger, find_backfill(instance, backfill_id))
    report.counting_seconds = time.monotonic() - began
    report.progress = status.progress
    report.runs = Counter(status.runs)
    report.violations += [one for one in status.disagreements if "never began" not in one]
    codes = query(ledger.path, "SELECT code, count(*) FROM entity_failures GROUP BY code")
    report.codes = Counter({str(code): int(str(count)) for code, count in codes})
    ended = [row.values for row in rows(ledger.path).values() if row.finished_at]
    taken = sorted((one["started_at"], one["finished_at"]) for one in ended)
    milliseconds = [(end - begin).total_seconds() * 1000 for begin, end in taken]
    report.first_ms, report.last_ms = map(
        statistics.median, (milliseconds[:_OF_A_PART], milliseconds[-_OF_A_PART:])
    )
    report.waited_ms = max(one["lock_wait_ms"] for one in ended)
    with ledger.read("check") as tx:
        report.violations += [str(one) for one in check(tx).violations]
