"""All that the command line asks of backfills, with Dagster's instance and the ledger behind it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import dagster as dg

from surgical_pipeline.defs import backfill_life
from surgical_pipeline.defs.backfill_life import Cancelling, Pruned, Resumption
from surgical_pipeline.defs.backfill_records import (
    Backfill,
    daemon_runs,
    daemon_seen,
    find_backfill,
    list_backfills,
    runs_of,
)
from surgical_pipeline.defs.backfill_status import progress_of, status_of
from surgical_pipeline.defs.backfills import Launched, launch
from surgical_pipeline.defs.dagster_home import opened_instance
from surgical_pipeline.defs.local_backfill import LocalBackfill
from surgical_pipeline.domain.backfill import BackfillPlan, BackfillProgress
from surgical_pipeline.domain.backfill_report import BackfillStatus
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.protocol import Ledger


class Backfills:
    """Wherever an id is taken, the beginning of one will do; one that there is not is a `BackfillError`."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger) -> None:
        self._instance = instance
        self._ledger = ledger

    @property
    def daemon_runs(self) -> bool:
        """Whether Dagster's daemon seems to be there."""
        return daemon_runs(self._instance, utc_now())

    @property
    def daemon_seen(self) -> datetime | None:
        """When it last gave a sign of life; None: never."""
        return daemon_seen(self._instance)

    def launch(self, plan: BackfillPlan, *, tags: Mapping[str, str]) -> Launched:
        """As `backfills.launch`: Dagster's daemon makes the runs."""
        return launch(self._instance, plan, tags=tags)

    def here(self, plan: BackfillPlan, *, tags: Mapping[str, str], log_level: str) -> LocalBackfill:
        """The same for this process; nothing has run yet."""
        return LocalBackfill(plan, instance=self._instance, ledger=self._ledger, tags=tags, log_level=log_level)

    def find(self, backfill_id: str) -> Backfill:
        return find_backfill(self._instance, backfill_id)

    def latest(self, limit: int) -> list[Backfill]:
        """The newest first."""
        return list_backfills(self._instance, limit=limit)

    def progress(self, backfill_id: str) -> tuple[Backfill, BackfillProgress]:
        """How far it is, for whoever shows that again and again.

        Raises:
            LedgerError: the ledger cannot be read now.
        """
        backfill = self.find(backfill_id)
        return backfill, progress_of(self._ledger, backfill, runs_of(self._instance, [backfill]))

    def status(self, backfill_id: str) -> BackfillStatus:
        """As `backfill_status.status_of`."""
        return status_of(self._instance, self._ledger, self.find(backfill_id))

    def cancel(self, backfill_id: str, *, watch: Callable[[Cancelling], None]) -> Cancelling:
        """As `backfill_life.cancel`."""
        return backfill_life.cancel(self._instance, self.find(backfill_id), watch=watch)

    def resumption(self, backfill_id: str) -> Resumption:
        """As `backfill_life.resumption`."""
        return backfill_life.resumption(self._instance, self._ledger, self.find(backfill_id))

    def prune(self, backfill_id: str) -> Pruned:
        """As `backfill_life.prune`."""
        return backfill_life.prune(self._instance, self._ledger, self.find(backfill_id))


@contextmanager
def opened_backfills(ledger: Ledger) -> Iterator[Backfills]:
    """With Dagster's instance open until the block ends.

    Raises:
        SettingsError, DagsterHomeError: as `dagster_home.opened_instance`.
    """
    with opened_instance() as instance:
        yield Backfills(instance, ledger)
