"""From rows of the ledger to the values of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.domain.outcomes import HttpStats, LockStats
from surgical_pipeline.report.values import ProjectStates, Run, Spread, Stage

MAX_TEXT = 600
"""Characters of a foreign text that are kept."""
_ORDER = [str(stage) for stage in STAGES]


def run_of(row: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> Run:
    ended = row["started_at"] is not None and row["finished_at"] is not None
    return Run(
        run_id=row["run_id"],
        trigger=row["trigger"],
        mode=row["mode"],
        status=row["status"],
        phase=row["phase"],
        scope=cut(row["scope"]),
        at=row["started_at"] or row["queued_at"],
        seconds=(row["finished_at"] - row["started_at"]).total_seconds() if ended else None,
        entities=row["requested"],
        failed=row["failed"],
        warnings=row["warnings_count"],
        requests=row["http_requests"],
        lock=LockStats(
            windows=row["lock_windows"],
            wait_ms=row["lock_wait_ms"],
            held_ms=row["lock_held_ms"],
            longest_held_ms=row["longest_lock_held_ms"],
        ),
        failure_code=row["failure_code"] and FailureCode[row["failure_code"]],
        failure_message=row["failure_message"] and cut(row["failure_message"]),
        stages=tuple(stage_of_run(one) for one in in_order(stages)),
    )


def stage_of_all(row: Mapping[str, Any]) -> Stage:
    return Stage(
        stage=row["phase"],
        runs=row["runs"],
        seconds=row["seconds"],
        requests=row["requests"],
        lock_windows=row["lock_windows"],
        lock_wait_ms=row["lock_wait_ms"],
        lock_held_ms=row["lock_held_ms"],
    )


def stage_of_run(row: Mapping[str, Any]) -> Stage:
    ended = row["finished_at"]
    return Stage(
        stage=row["phase"],
        started_at=row["started_at"],
        seconds=(ended - row["started_at"]).total_seconds() if ended else None,
        requests=row["http_requests"],
        lock_windows=row["lock_windows"],
        lock_wait_ms=row["lock_wait_ms"],
        lock_held_ms=row["lock_held_ms"],
    )


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: _ORDER.index(row["phase"]))


def spread_of(row: Mapping[str, Any]) -> Spread | None:
    """None if nothing was measured."""
    if not row["measured"]:
        return None
    return Spread(measured=row["measured"], median=row["median"], p95=row["p95"], longest=row["longest"])


def http_of(rows: Sequence[Mapping[str, Any]]) -> HttpStats:
    return HttpStats(
        requests=sum(row["requests"] for row in rows),
        retries=sum(row["retries"] for row in rows),
        rate_limited=sum(row["rate_limited"] for row in rows),
    )


def lock_of(rows: Sequence[Mapping[str, Any]]) -> LockStats:
    return LockStats(
        windows=sum(row["lock_windows"] for row in rows),
        wait_ms=sum(row["lock_wait_ms"] for row in rows),
        held_ms=sum(row["lock_held_ms"] for row in rows),
        longest_held_ms=max((row["longest_lock_held_ms"] for row in rows), default=0.0),
    )


def sum_of(projects: Sequence[ProjectStates]) -> ProjectStates:
    names = [name for name in ProjectStates.model_fields if name != "project"]
    return ProjectStates(project="", **{name: sum(getattr(one, name) for one in projects) for name in names})


def cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
