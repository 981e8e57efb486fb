"""What a run used since it last recorded its usage: windows on the ledger, and requests."""

from dataclasses import dataclass, field

from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import HttpStats, LockStats
from surgical_pipeline.ledger.protocol import Ledger, Transaction


@dataclass(frozen=True, slots=True)
class Used:
    lock: LockStats = field(default_factory=LockStats)
    http: HttpStats = field(default_factory=HttpStats)

    def __sub__(self, earlier: "Used") -> "Used":
        return Used(self.lock - earlier.lock, self.http - earlier.http)

    @property
    def columns(self) -> dict[str, float]:
        """Those that runs and stages have in common."""
        return {
            "lock_windows": self.lock.windows,
            "lock_wait_ms": self.lock.wait_ms,
            "lock_held_ms": self.lock.held_ms,
            "http_requests": self.http.requests,
        }


NOTHING = Used()


class Usage:
    """Counts from its creation on, stage by stage. ``take`` gives what is not written yet."""

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

    def take(self, tx: Transaction) -> tuple[Used, dict[Phase, Used]]:
        """What the run used in all and in each stage; untaken again if the window ``tx`` is rolled back."""
        before, used, stages = self._told, self._so_far, self._untold_stages
        by_stage = dict[Phase, Used]()
        since = before
        for stage, until in (*stages, *([] if self._stage is None else [(self._stage, used)])):
            by_stage[stage] = until - since
            since = until
        self._told, self._untold_stages = used, []

        def give_back() -> None:
            self._told, self._untold_stages = before, stages + self._untold_stages

        tx.on_rollback(give_back)
        return used - before, by_stage
