"""How far a ledger has come, for those who hand its content on and want to know whether it has changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from surgical_pipeline.ledger.protocol import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """``last_run``: the run that worked or ended last, at ``last_run_at``. ``made_at``: the ledger's own name."""

    made_at: datetime
    schema_version: int
    runs: int
    newest_run: int | None
    last_run: str | None
    last_run_at: datetime | None
    embedded_at: datetime | None
    gitlab_known_since: datetime | None
    gitlab_url: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(**row)

    @property
    def text(self) -> str:
        """Differs whenever content, runs, vectors or the ledger's GitLab do; of two ledgers, too.

        Of a copy in another database it is the same, though that gives times in a zone of its own.
        """
        values = [one.astimezone(UTC).isoformat() if isinstance(one, datetime) else one for one in astuple(self)]
        return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def read_standing(tx: Transaction) -> Standing:
    (row,) = tx.rows("read_standing")
    return Standing.from_row(row)
