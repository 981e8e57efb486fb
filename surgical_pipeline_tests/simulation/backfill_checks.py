"""What must hold of backfills: while they go on, when all is at rest, and when they were resumed to their end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dagster import DagsterRunStatus

from surgical_pipeline.defs.backfill_records import Backfill, resumed_by
from surgical_pipeline.defs.backfill_status import left_of, progress_of
from surgical_pipeline.defs.dagster_internals import BulkActionStatus, PartitionBackfill
from surgical_pipeline.defs.dagster_runs import BACKFILL_TAG
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline_tests.simulation.backfill_daemon import UNDER_WAY
from surgical_pipeline_tests.simulation.dagster_storage import DagsterConnection, DagsterStorage, StoredRun
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.processes import Process

_OUTCOMES = """
SELECT outcome.entity_type, outcome.iid, outcome.run_id, outcome.failure_code, MIN(failure.code),
    outcome.ingested OR outcome.stale_skipped
FROM entity_outcomes AS outcome
JOIN sync_runs AS run ON run.run_id = outcome.run_id
LEFT JOIN entity_failures AS failure ON failure.run_id = outcome.run_id
    AND failure.entity_type = outcome.entity_type AND failure.iid = outcome.iid
WHERE run.finished_at IS NOT NULL AND outcome.run_id IN (SELECT unnest($run_ids::VARCHAR[]))
GROUP BY 1, 2, 3, 4, 6
"""


@dataclass
class BackfillChecks:
    """``broken``: called with what did not hold within a process."""

    file: StoredLedger
    storage: DagsterStorage
    broken: Callable[[str], None]

    def __post_init__(self) -> None:
        self.storage.on_backfill.append(self._the_same_is_not_under_way)
        self.storage.on_change.append(self._its_backfill_goes_on)

    def under_way(self) -> list[str]:
        return [one.backfill_id for one in self.storage.backfills.values() if one.status in UNDER_WAY]

    def at_rest(self, observer: Process) -> list[str]:
        """What is not as it must be with the backfills as they are: all is told, and what is told is true."""
        found = [f"backfill {backfill_id} is not over" for backfill_id in self.under_way()]
        for backfill in self._roots(observer):
            found += self._told(backfill, observer)
        return found

    def to_resume(self, observer: Process) -> list[str]:
        """Those that nobody cancelled and that have something left."""
        return [
            one.id
            for one in self._roots(observer)
            if not self._is_cancelled(one, observer) and self._left(one, observer)
        ]

    def in_the_end(self, observer: Process) -> list[str]:
        """After they were resumed: each entity has exactly one final outcome."""
        found = []
        for backfill in self._roots(observer):
            if self._is_cancelled(backfill, observer):
                continue
            done = self._done(backfill, observer)
            if left := self._left(backfill, observer):
                found.append(f"backfill {backfill.id} has {sorted(left)} left, however often it is resumed")
            found += [
                f"{key} of backfill {backfill.id} was done {len(done[key])} times: {done[key]}"
                for key in _keys(backfill)
                if len(done.get(key, ())) > 1
            ]
        return found

    def _told(self, backfill: Backfill, observer: Process) -> Iterable[str]:
        """Each entity is done, or failed for good and said so, or a resumption takes it; and is so counted."""
        ledger, runs = self.file.opened_by(observer), self._runs(backfill, observer)
        done, failed = set(self._done(backfill, observer)), self._failed(backfill, observer)
        left = self._left(backfill, observer)
        progress = progress_of(ledger, backfill, [one.run for one in runs])
        lost = set(_keys(backfill)) - done - failed - left
        if lost:
            yield f"of backfill {backfill.id}, {sorted(lost)} are neither done nor told as failed, nor left"
        if again := left & done:
            yield f"of backfill {backfill.id}, {sorted(again)} are done, and a resumption takes them"
        if progress.done != len(done & set(_keys(backfill))):
            yield f"backfill {backfill.id} tells {progress.done} as done, and these are: {sorted(done)}"
        told = progress.done + progress.missing + progress.failed + progress.waiting
        if told != backfill.entities:
            yield f"backfill {backfill.id} has {backfill.entities} entities, and tells of {told}: {progress}"

    def _left(self, backfill: Backfill, observer: Process) -> set[EntityKey]:
        runs = [one.run for one in self._runs(backfill, observer)]
        scopes = left_of(self.file.opened_by(observer), backfill, runs)
        return {key for scope in scopes for key in tuple(scope.keys())}

    def _done(self, backfill: Backfill, observer: Process) -> dict[EntityKey, list[str]]:
        """The runs in which each entity was brought up to date, without those that another run goes on with."""
        gone_on_with = {one.run.parent_run_id for one in self.storage.runs.values() if one.goes_on}
        done: dict[EntityKey, list[str]] = {}
        for key, run_id, failure, ok in self._outcomes(backfill, observer):
            if ok and failure is None and run_id not in gone_on_with:
                done.setdefault(key, []).append(run_id)
        return done

    def _failed(self, backfill: Backfill, observer: Process) -> set[EntityKey]:
        """Those of which a run says why they failed, for good."""
        return {
            key
            for key, _, failure, _ in self._outcomes(backfill, observer)
            if failure is not None and not FailureCode[failure].retryable
        }

    def _outcomes(self, backfill: Backfill, observer: Process) -> list[tuple[EntityKey, str, str | None, bool]]:
        run_ids = [one.run.run_id for one in self._runs(backfill, observer)]
        return [
            (EntityKey(EntityType(str(kind)), int(str(iid))), str(run_id), _text(own) or _text(other), bool(ok))
            for kind, iid, run_id, own, other, ok in self.file.rows(_OUTCOMES, run_ids=run_ids)
        ]

    def _runs(self, backfill: Backfill, observer: Process) -> list[StoredRun]:
        family = [backfill, *resumed_by(DagsterConnection(self.storage, observer).instance, backfill)]
        ids = {one.id for one in family}
        return [one for one in self.storage.runs.values() if one.run.tags.get(BACKFILL_TAG) in ids]

    def _roots(self, observer: Process) -> list[Backfill]:
        observer.must_live()
        found = map(Backfill, self.storage.backfills.values())
        return [one for one in found if one.resumes is None]

    def _is_cancelled(self, backfill: Backfill, observer: Process) -> bool:
        """Somebody wanted an end to it, or to what resumed it last."""
        family = [backfill, *resumed_by(DagsterConnection(self.storage, observer).instance, backfill)]
        return family[-1].record.status is BulkActionStatus.CANCELED

    def _the_same_is_not_under_way(self, new: PartitionBackfill) -> None:
        for other in self.storage.backfills.values():
            same = other.partition_names == new.partition_names and other.run_config == new.run_config
            if same and other.status is BulkActionStatus.REQUESTED:
                self.broken(f"backfill {new.backfill_id} is {other.backfill_id} once more, which is under way")

    def _its_backfill_goes_on(self, stored: StoredRun) -> None:
        backfill = self.storage.backfills.get(stored.run.tags.get(BACKFILL_TAG, ""))
        if backfill is None or stored.run.status is not DagsterRunStatus.QUEUED:
            return
        if backfill.status not in UNDER_WAY:
            self.broken(f"a run was made of backfill {backfill.backfill_id}, which is {backfill.status.value}")


def _keys(backfill: Backfill) -> list[EntityKey]:
    return [key for scope in backfill.scopes for key in tuple(scope.keys())]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
