"""What a receiver of hooks counted, and what people should hear of it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """What became of deliveries since the spool was made.

    Args:
        accepted: events that were stored, and repetitions of them.
        ignored: deliveries that ask for nothing.
        refused_secret: a wrong or missing signature or secret token.
        refused_age: rightly signed, but more than 5 minutes before or after now: a clock is wrong.
        last_accepted_at: by the receiver's clock, to the second; None if there was none. The others likewise.
    """

    accepted: int = 0
    ignored: int = 0
    refused_secret: int = 0
    refused_age: int = 0
    last_accepted_at: datetime | None = None
    last_refused_secret_at: datetime | None = None
    last_refused_age_at: datetime | None = None

    def refusals(self, since: datetime) -> str:
        """How many were refused, and why, for each reason that was met since then; empty if none was."""
        found = (
            (self.refused_secret, self.last_refused_secret_at, "wrong secret"),
            (self.refused_age, self.last_refused_age_at, "a clock is wrong"),
        )
        return ", ".join(f"{count} refused ({why})" for count, at, why in found if at is not None and at >= since)
