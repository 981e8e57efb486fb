"""When the write-ahead log is folded into the file: once replaying it has cost as much as folding it in.

Every window opens the file and so replays its log: 1 ms if that is empty, and 5 ms more for each small run in
it. A checkpoint costs 10 to 80 ms, whatever is in the log. Waiting until the replays have cost as much as a
checkpoint never costs more than twice the best choice in hindsight. Both are measured, because they depend
on what the log holds: large transactions replay five times faster a byte than small ones.
"""

MOST_BYTES = 3_000_000
"""A longer log is folded in at any cost: a process that is new to the file has measured nothing yet."""

_BARE_ATTACH_MS = 1.2


class CheckpointPolicy:
    """The time that one process's windows on a file have spent on replays since the log was last seen empty.

    ``price_ms``: the estimated cost of a checkpoint until one has been measured.
    """

    def __init__(self, price_ms: float = 20.0) -> None:
        self._paid_ms = 0.0
        self._price_ms = price_ms

    def attached(self, took_ms: float, *, log_bytes: int) -> None:
        """Record how long it took to open the file with a log of that length."""
        if log_bytes:
            self._paid_ms += max(0.0, took_ms - _BARE_ATTACH_MS)
        else:
            self._paid_ms = 0.0

    def due(self, log_bytes: int) -> bool:
        """Whether a log of that length should be folded in now."""
        return log_bytes > MOST_BYTES or (log_bytes > 0 and self._paid_ms >= self._price_ms)

    def tried(self, took_ms: float) -> None:
        """Record how long a checkpoint took, even if it failed."""
        self._paid_ms = 0.0
        self._price_ms = (self._price_ms + took_ms) / 2
