"""What a run used since it last said so: windows on the ledger, and requests."""

from surgical_pipeline.domain.outcomes import HttpStats
from surgical_pipeline.ledger.protocol import Ledger, Transaction


class Usage:
    """Counts from the moment it is made. ``tell`` writes what came since the last telling that was committed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock_told = ledger.stats
        self._http_untold = HttpStats()

    def count_requests(self, http: HttpStats) -> None:
        self._http_untold += http

    def tell(self, tx: Transaction, run_id: str) -> bool:
        """Add it to the run and to the stage it is in; False, with nothing written, if the run is not running."""
        lock, http = self._ledger.stats - self._lock_told, self._http_untold
        usage = {
            "lock_windows": lock.windows,
            "lock_wait_ms": lock.wait_ms,
            "lock_held_ms": lock.held_ms,
            "http_requests": http.requests,
        }
        if not tx.execute(
            "add_run_usage",
            run_id=run_id,
            longest_lock_held_ms=lock.longest_held_ms,
            http_retries=http.retries,
            http_rate_limited=http.rate_limited,
            **usage,
        ):
            return False
        tx.execute("add_phase_usage", run_id=run_id, **usage)
        self._lock_told += lock
        self._http_untold = HttpStats()

        def untell() -> None:
            self._lock_told -= lock
            self._http_untold += http

        tx.on_rollback(untell)
        return True
