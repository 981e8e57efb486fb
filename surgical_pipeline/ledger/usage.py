"""What a run used since it last recorded its usage: windows on the ledger, and requests."""

from dataclasses import dataclass
from datetime import datetime

from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import HttpStats, LockStats
from surgical_pipeline.ledger.protocol import Ledger, Transaction


@dataclass(frozen=True, slots=True)
class Used:
    lock: LockStats
    http: HttpStats

    def __sub__(self, earlier: "Used") -> "Used":
        return Used(self.lock - earlier.lock, self.http - earlier.http)


class Usage:
    """Counts from its creation on, stage by stage. ``tell`` writes what is not written yet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._http = HttpStats()
        self._told = self._so_far
        self._untold_stages: list[tuple[Phase, Used]] = []
        self._stage: Phase | None = None

    @property
    def _so_far(self) -> Used:
        return Used(self._ledger.stats, self._http)

    def count_requests(self, http: HttpStats) -> None:
        self._http += http

    def begin_stage(self, stage: Phase) -> None:
        """Usage from now on belongs to ``stage``, earlier usage to the previous stage."""
        if self._stage is not None and self._stage is not stage:
            self._untold_stages.append((self._stage, self._so_far))
        self._stage = stage

    def tell(self, tx: Transaction, run_id: str, *, now: datetime, entered: Phase | None = None) -> bool:
        """Add it to the run and to its stages; False, with nothing written, if the run is not running.

        ``now``: also counts as a heartbeat. ``entered``: the stage that the run enters; None: unchanged.
        """
        before, used, stages = self._told, self._so_far, self._untold_stages
        whole = used - before
        if not tx.execute(
            "add_run_usage",
            run_id=run_id,
            phase=None if entered is None else str(entered),
            now=now,
            longest_lock_held_ms=whole.lock.longest_held_ms,
            http_retries=whole.http.retries,
            http_rate_limited=whole.http.rate_limited,
            **_columns(whole),
        ):
            return False
        since = before
        for stage, until in (*stages, *([] if self._stage is None else [(self._stage, used)])):
            tx.execute("add_phase_usage", run_id=run_id, phase=str(stage), **_columns(until - since))
            since = until
        self._told, self._untold_stages = used, []

        def untell() -> None:
            self._told, self._untold_stages = before, stages + self._untold_stages

        tx.on_rollback(untell)
        return True


def _columns(used: Used) -> dict[str, float]:
    return {
        "lock_windows": used.lock.windows,
        "lock_wait_ms": used.lock.wait_ms,
        "lock_held_ms": used.lock.held_ms,
        "http_requests": used.http.requests,
    }
