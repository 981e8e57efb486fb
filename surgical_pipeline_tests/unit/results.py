"""What a run gave, with values that a test need not care about."""

from typing import Any

from surgical_pipeline.domain.outcomes import Counters, HttpStats, LockStats, ProjectRef, SyncResult


def sync_result(**values: Any) -> SyncResult:
    """A run of issue 12 that brought nothing; ``values`` are fields of it."""
    missing = dict.fromkeys(("parent_run_id", "started_at", "finished_at", "duration_ms", "error"))
    usual: dict[str, Any] = {
        "run_id": "a-run",
        "mode": "surgical",
        "trigger": "cli",
        "completion_status": "succeeded_with_warnings",
        "phase": "done",
        "scope": "acme/rocket#12",
        "project": ProjectRef(id=7, path="acme/rocket"),
        "warnings_count": 0,
        "counters": Counters(),
        "lock": LockStats(),
        "http": HttpStats(),
        "entity_outcomes": (),
        "entity_failures": (),
    }
    return SyncResult.model_validate(missing | usual | values)
