"""What goes of Dagster's runs: rows, events, outputs and logs of our jobs' runs that ended long ago.

These stay, however old: runs of the newest materialization and check of each of our assets, or the catalog forgets
them; runs that a run re-executes which is not old, or has not ended; runs of backfills that go on; and runs whose
end the ledger does not know yet, so that the mirror finds out why they ended.
"""

from collections.abc import Sequence
from functools import cached_property

import dagster as dg
from dagster import DagsterRunStatus

from surgical_pipeline.defs.dagster_internals import (
    AssetCheckExecutionsTable,
    SqlEventLogStorage,
    SqliteEventLogStorage,
)
from surgical_pipeline.defs.dagster_runs import FINISHED, LEDGER_TAG, hidden_tag, is_surgical, trigger_of
from surgical_pipeline.defs.pruning.ours import ASSET_KEYS, INSTIGATORS, is_ours
from surgical_pipeline.defs.pruning.run_files import RunFiles
from surgical_pipeline.defs.run_pages import pages_of
from surgical_pipeline.defs.sync.checks import ledger_checks
from surgical_pipeline.domain.pruning import DagsterPruned, PruneWish, by_frequency
from surgical_pipeline.ledger.disk import allocated
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.pruning import run_statuses
from surgical_pipeline.ledger.runs import ledger_name

_IDS_AT_ONCE = 500
_BACKFILL_TAG = "dagster/backfill"
_ORIGIN_TAGS = ("dagster/parent_run_id", "dagster/root_run_id")
_BACKFILL_GOES_ON = {"REQUESTED", "CANCELING", "FAILING"}
_NEWEST = "the newest materialization or check of an asset"
_CONTINUED = "a run that is not old continues it"
_BACKFILLED = "its backfill goes on"
_UNTOLD = "the ledger does not know its end"


class DagsterSide:
    """``going``: runs that were deleted or, in a dry run, would be."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger, *, files: RunFiles, wish: PruneWish) -> None:
        self._instance = instance
        self._ledger = ledger
        self._files = files
        self._wish = wish
        self._goes_on: dict[str, bool] = {}
        self.going: set[str] = set()

    def prune(self) -> DagsterPruned:
        """Finish what an earlier prune began, then delete what is old.

        Raises:
            LedgerError: the ledger cannot be read now; what is deleted is deleted.
        """
        done, kept = DagsterPruned(), dict[str, str]()
        done.leftovers = self._finish(done)
        wanted = dg.RunsFilter(statuses=list(FINISHED), updated_before=self._wish.before)
        for page in pages_of(self._instance, wanted):
            ours = [record.dagster_run for record in page if self._is_meant(record.dagster_run)]
            ours = [run for run in ours if run.run_id not in self.going]
            reasons = self._reasons_to_stay(ours)
            for run in ours:
                reason = reasons.get(run.run_id)
                if reason:
                    kept[run.run_id] = reason  # a page may begin with the last one of the page before
                else:
                    self._delete(run.run_id, done)
        done.runs = len(self.going)
        done.tick_logs = self._delete_tick_logs(done)
        if not self._wish.dry_run:
            done.bytes += self._files.shrink()
        done.kept = by_frequency(kept.values())
        return done

    def known(self, run_ids: Sequence[str]) -> set[str]:
        """Those of these runs that Dagster has, and keeps."""
        found: set[str] = set()
        for start in range(0, len(run_ids), _IDS_AT_ONCE):
            some = list(run_ids[start : start + _IDS_AT_ONCE])
            found |= set(self._instance.get_run_ids(dg.RunsFilter(run_ids=some)))
        return found - self.going

    def _finish(self, done: DagsterPruned) -> int:
        """Files are looked for first: a run is known before it has any."""
        found = sorted(self._files.run_ids())
        forgotten = sorted(set(found) - self.known(found))
        for run_id in forgotten:
            if not self._wish.dry_run:
                self._forget(run_id)
            self._remove_files(run_id, done)
        return len(forgotten)

    def _is_meant(self, run: dg.DagsterRun) -> bool:
        return is_ours(run) and trigger_of(run) in self._wish.triggers

    def _reasons_to_stay(self, runs: Sequence[dg.DagsterRun]) -> dict[str, str]:
        """By run; one that may go is missing."""
        if not runs:
            return {}
        found = {run.run_id: _UNTOLD for run in self._untold(runs)}
        found |= {run.run_id: _BACKFILLED for run in runs if self._backfill_goes_on(run)}
        found |= dict.fromkeys(self._continued([run.run_id for run in runs]), _CONTINUED)
        return found | {run.run_id: _NEWEST for run in runs if run.run_id in self._newest}

    def _untold(self, runs: Sequence[dg.DagsterRun]) -> list[dg.DagsterRun]:
        """Open in the ledger; or written to this ledger, of which it is an older copy."""
        ours = [run for run in runs if is_surgical(run)]
        if not ours or not self._ledger.exists:
            return []
        with self._ledger.read("prune") as tx:
            name = ledger_name(tx)
            statuses = run_statuses(tx, [run.run_id for run in ours])
        return [
            run
            for run in ours
            if (not statuses[run.run_id].terminal if run.run_id in statuses else _belongs_to(run, name))
        ]

    def _continued(self, run_ids: Sequence[str]) -> set[str]:
        """Those that a run re-executes which has not ended, or is not old."""
        children = [
            record.dagster_run
            for tag in _ORIGIN_TAGS
            for record in self._instance.get_run_records(dg.RunsFilter(tags={tag: list(run_ids)}))
            if not record.dagster_run.is_finished or record.update_timestamp >= self._wish.before
        ]
        return {run.tags[tag] for run in children for tag in _ORIGIN_TAGS if tag in run.tags}.intersection(run_ids)

    def _backfill_goes_on(self, run: dg.DagsterRun) -> bool:
        backfill_id = run.tags.get(_BACKFILL_TAG)
        if backfill_id is None:
            return False
        if backfill_id not in self._goes_on:
            backfill = self._instance.get_backfill(backfill_id)
            self._goes_on[backfill_id] = backfill is not None and backfill.status.value in _BACKFILL_GOES_ON
        return self._goes_on[backfill_id]

    @cached_property
    def _newest(self) -> set[str]:
        """Runs that the catalog shows. A newer one may come meanwhile: then one more stays than needed."""
        found: set[str | None] = set()
        for asset in self._instance.get_asset_records(list(ASSET_KEYS)):
            found |= {asset.asset_entry.last_run_id}
            newest = asset.asset_entry.last_materialization_record
            found |= {newest.run_id} if newest else set()
        checks = self._instance.event_log_storage.get_latest_asset_check_execution_by_key(
            list(ledger_checks.check_keys)
        )
        return {run_id for run_id in found | {one.run_id for one in checks.values()} if run_id}

    def _delete(self, run_id: str, done: DagsterPruned) -> None:
        if not self._wish.dry_run:
            self._forget(run_id)
        self._remove_files(run_id, done)
        self.going.add(run_id)

    def _forget(self, run_id: str) -> None:
        """The row first: what a kill leaves is then no run any more, and found by its files.

        Dagster's own method opens the run's database as well, to empty it. Here the file goes a moment later, and
        that takes most of the time.
        """
        storage = self._instance.event_log_storage
        if not isinstance(storage, SqliteEventLogStorage):
            self._instance.delete_run(run_id)
        if isinstance(storage, SqlEventLogStorage):
            if isinstance(storage, SqliteEventLogStorage):
                self._instance.run_storage.delete_run(run_id)
            checks = AssetCheckExecutionsTable
            with storage.index_connection() as connection:
                storage.delete_events_for_run(connection, run_id)
                connection.execute(checks.delete().where(checks.c.run_id == run_id))

    def _remove_files(self, run_id: str, done: DagsterPruned) -> None:
        removed = self._files.measure(run_id) if self._wish.dry_run else self._files.remove(run_id)
        done.files += removed.files
        done.bytes += removed.bytes

    def _delete_tick_logs(self, done: DagsterPruned) -> int:
        count = 0
        for path in list(self._files.old_tick_logs(INSTIGATORS, self._wish.before)):
            done.bytes += allocated(path)
            if not self._wish.dry_run:
                path.unlink(missing_ok=True)
            count += 1
        done.files += count
        return count


def _belongs_to(run: dg.DagsterRun, ledger: str) -> bool:
    return run.status is DagsterRunStatus.SUCCESS and hidden_tag(run, LEDGER_TAG) == ledger
