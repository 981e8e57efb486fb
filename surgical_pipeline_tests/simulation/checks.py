"""What must hold at every moment of a simulation, and what must hold when it has come to rest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from surgical_pipeline.defs.dagster_runs import events_upto_of, scope_of
from surgical_pipeline.domain.freshness import REPLICA_LAG
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger import checks as ledger_checks
from surgical_pipeline_tests.simulation.dagster_storage import DagsterStorage, StoredRun
from surgical_pipeline_tests.simulation.gateways import SimulatedGateways
from surgical_pipeline_tests.simulation.gitlab import NEIGHBOUR
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.processes import Process
from surgical_pipeline_tests.simulation.receiver import Hooks, Receiver

_ROWS_BY_ENTITY = """
SELECT project_id, entity_type, iid, md5(string_agg(content, '' ORDER BY content)) FROM (
    SELECT project_id, entity_type, iid,
        concat_ws('|', run_id, fetched_at, missed_at, '|', deleted_at, payload) AS content
        FROM entities
    UNION ALL SELECT project_id, noteable_type, noteable_iid, concat_ws('|', note_id, run_id, payload) FROM notes
    UNION ALL SELECT project_id, noteable_type, noteable_iid, concat_ws('|', event_type, event_id, run_id, payload)
        FROM resource_events
    UNION ALL SELECT project_id, entity_type, iid, concat_ws('|', dependent, fetched_at, run_id)
        FROM dependent_fetches
    UNION ALL SELECT project_id, CASE kind WHEN 'issue' THEN 'issue' ELSE 'merge_request' END, iid,
        concat_ws('|', document_id, content_hash, deleted_at) FROM documents
        WHERE kind IN ('issue', 'merge_request')
) AS contents GROUP BY 1, 2, 3
"""
_NOT_ONE_OUTCOME = """
SELECT run.run_id, run.requested, COUNT(outcome.iid), COUNT(*) FILTER (WHERE
    outcome.failure_code IS NULL AND NOT (outcome.ingested OR outcome.stale_skipped))
FROM sync_runs AS run LEFT JOIN entity_outcomes AS outcome ON outcome.run_id = run.run_id
WHERE run.finished_at IS NOT NULL
GROUP BY run.run_id, run.requested
HAVING COUNT(outcome.iid) <> run.requested OR COUNT(*) FILTER (WHERE
    outcome.iid IS NOT NULL AND outcome.failure_code IS NULL
    AND NOT (outcome.ingested OR outcome.stale_skipped OR outcome.tombstoned)) > 0
"""
_TOLD_AS_DONE = """
SELECT outcome.entity_type, outcome.iid, entities.run_id
FROM entity_outcomes AS outcome
JOIN sync_runs AS run ON run.run_id = outcome.run_id
LEFT JOIN entities ON entities.project_id = run.project_id
    AND entities.entity_type = outcome.entity_type AND entities.iid = outcome.iid
WHERE outcome.run_id = $run_id
    AND ((outcome.ingested AND entities.run_id IS DISTINCT FROM outcome.run_id)
        OR (outcome.stale_skipped AND entities.run_id = outcome.run_id))
"""
_PENDING = "SELECT event_key, attempts, project_path FROM gitlab_events WHERE state = 'pending'"
_SAME_NUMBER = "SELECT number, MIN(run_id), MAX(run_id) FROM sync_runs GROUP BY number HAVING COUNT(*) > 1"
_TOLD_AS_UNCHANGED = "SELECT entity_type, iid FROM entity_outcomes WHERE unchanged AND run_id = $run_id"
_FETCHES = "SELECT entity_type, iid, updated_at, fetched_at FROM entities"
_DEPENDENT_FETCHES = "SELECT entity_type, iid, dependent, fetched_at FROM dependent_fetches"
_DEFECTS = """
SELECT run_id, failure_message FROM sync_runs WHERE failure_code = 'INTERNAL_ERROR'
UNION ALL SELECT run_id, message FROM entity_failures WHERE code = 'INTERNAL_ERROR'
"""


AGAIN = " again "
"""Between a key and what makes it another where deliveries are not recognized."""


class BrokenError(AssertionError):
    """Something that must hold does not."""


@dataclass
class Checks:
    """``thorough``: compare all content before and after each window of a run, which takes as long as the run."""

    file: StoredLedger
    storage: DagsterStorage
    hooks: Hooks
    thorough: bool
    broken: str | None = None
    """The first thing that did not hold within a process, where raising it would look like a failed run."""
    _fetches: dict[tuple[object, object], tuple[Any, Any]] = field(default_factory=dict)
    _dependents: dict[tuple[object, ...], object] = field(default_factory=dict)
    _before: dict[tuple[object, ...], object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.file.after_write = self.after_write
        self.file.tell_broken = self.tell_broken

    def after_write(self, process: Process, purpose: str) -> None:
        """Called when a window was committed."""
        run_id = process.name.removeprefix("run ") if process.name.startswith("run ") else None
        if run_id is not None and purpose == "ingest":
            self._what_was_refused_is_not_told_as_done(run_id)
            self._unchanged_is_as_it_was(run_id)
            self._fresher_replaces_older()
        if run_id is not None and purpose == "dependents":
            self._later_dependents_replace_earlier()
        if self.thorough:
            self._nothing_else_changed(run_id, purpose)

    def end_of_run(self, run_id: str, gateways: SimulatedGateways) -> None:
        """The asset check of the real job, at the same moment."""
        with gateways.ledger.read("check") as tx:
            scope = ledger_checks.rows_outside_scope(tx, run_id)
        if not scope.ok:
            self.tell_broken(f"run {run_id[:8]} changed rows outside its scope: {scope}")

    def one_ask_at_a_time(self, stored: StoredRun) -> None:
        """Called for a run whose status changed: no other was known that takes events of the same entity."""
        if events_upto_of(stored.run) is None or stored.run.status is not dg.DagsterRunStatus.QUEUED:
            return
        keys = set(_keys_of(self.storage, stored.run.run_id))
        for other in self.storage.unfinished():
            known = other is not stored and events_upto_of(other.run) is not None and other.made < stored.began
            if known and keys & set(_keys_of(self.storage, other.run.run_id)):
                self.tell_broken(
                    f"{sorted(keys)} is asked for in {stored.run.run_id[:8]} beside {other.run.run_id[:8]}"
                )

    def no_event_is_lost(self, receiver: Receiver | None) -> None:
        """Each event that was answered with 2xx waits in the spool or is in the ledger; nothing else is there."""
        if not self.hooks.sent:
            return
        keys = [str(key).partition(AGAIN)[0] for (key,) in self.file.rows("SELECT event_key FROM gitlab_events")]
        stored = set(keys)
        if strange := stored - self.hooks.sent:
            raise BrokenError(f"events that GitLab never sent: {sorted(strange)}")
        if len(keys) > len(stored):
            raise BrokenError(f"one delivery is several events: {sorted(keys)}")
        lost = self.hooks.answered - stored
        if lost and receiver is not None:
            lost -= {key.partition(AGAIN)[0] for key in receiver.waiting_keys()}
        if lost:
            raise BrokenError(f"events were answered with 2xx and are lost: {sorted(lost)}")

    def each_run_has_a_number_of_its_own(self) -> None:
        """By their order, the mirror and the sensors tell an older copy of the ledger."""
        if same := self.file.rows_since_write(_SAME_NUMBER):
            raise BrokenError(f"runs of one number: {same}")

    def every_ended_run_has_its_outcomes(self) -> None:
        wrong = self.file.rows(_NOT_ONE_OUTCOME)
        if wrong:
            raise BrokenError(f"ended runs without exactly one outcome for each entity: {wrong}")
        if defects := self.file.rows(_DEFECTS):
            raise BrokenError(f"defects: {defects}")

    def nothing_runs(self) -> None:
        """In neither of both, and both agree about what became of each run."""
        running = self.file.rows("SELECT run_id, status FROM sync_runs WHERE finished_at IS NULL")
        if running or self.storage.unfinished():
            raise BrokenError(f"runs have not ended: {running}")
        if differing := self.told_otherwise():
            raise BrokenError(f"runs that Dagster and the ledger tell otherwise: {differing}")

    def told_otherwise(self) -> list[str]:
        """Runs of which the ledger has another status of Dagster's than Dagster."""
        told = {
            row[0]: row[1] for row in self.file.rows_since_write("SELECT run_id, dagster_status FROM sync_runs")
        }
        return [
            f"{run_id[:8]} is {stored.run.status.value}, {told.get(run_id)} in the ledger"
            for run_id, stored in self.storage.runs.items()
            if told.get(run_id) != stored.run.status.value
        ]

    def pending_events(self) -> list[tuple[object, ...]]:
        """Those of projects that nobody watches wait until somebody does, or drops them: every tick tells."""
        waiting = self.file.rows_since_write(_PENDING)
        return [(key, attempts) for key, attempts, path in waiting if path != NEIGHBOUR]

    def each_event_has_its_end(self) -> None:
        if left := self.pending_events():
            raise BrokenError(f"events are still pending: {left}")

    def only_what_is_watched_is_here(self, project_id: int) -> None:
        """Hooks of a group, and system hooks, tell of projects for which nobody asked."""
        others = self.file.rows("SELECT project_id FROM entities WHERE project_id <> $ours", ours=project_id)
        asked = self.file.rows(
            "SELECT event_key, state FROM gitlab_events WHERE state <> 'pending' AND project_id <> $ours",
            ours=project_id,
        )
        if others or asked:
            raise BrokenError(f"of projects that nobody watches: {others} {asked}")

    def _what_was_refused_is_not_told_as_done(self, run_id: str) -> None:
        wrong = self.file.rows(_TOLD_AS_DONE, run_id=run_id)
        if wrong:
            self.tell_broken(f"outcomes of run {run_id[:8]} are not what was written: {wrong}")

    def _unchanged_is_as_it_was(self, run_id: str) -> None:
        """Dependents of these are not fetched, so they must be what they were, by `updated_at` at least."""
        told = {(kind, iid) for kind, iid in self.file.rows(_TOLD_AS_UNCHANGED, run_id=run_id)}
        if not told:
            return
        for kind, iid, updated_at, _ in self.file.rows(_FETCHES):
            before = self._fetches.get((kind, iid))
            if (kind, iid) in told and (before is None or before[0] != updated_at):
                self.tell_broken(f"{kind} {iid} of {updated_at} is told as unchanged, and was {before}")

    def _fresher_replaces_older(self) -> None:
        """Fetches begun more than a minute apart: the later one stays; else the later version."""
        for kind, iid, updated_at, fetched_at in self.file.rows(_FETCHES):
            before = self._fetches.get((kind, iid))
            if before is not None and _is_older((updated_at, fetched_at), before):
                self.tell_broken(f"{kind} {iid} of {before} was replaced by that of {(updated_at, fetched_at)}")
            self._fetches[kind, iid] = (updated_at, fetched_at)

    def _later_dependents_replace_earlier(self) -> None:
        for *key, fetched_at in self.file.rows(_DEPENDENT_FETCHES):
            before = self._dependents.get(tuple(key))
            if before is not None and fetched_at < before:
                self.tell_broken(f"{key} fetched at {before} was replaced by what was fetched at {fetched_at}")
            self._dependents[tuple(key)] = fetched_at

    def _nothing_else_changed(self, run_id: str | None, purpose: str) -> None:
        now: dict[tuple[object, ...], object] = {tuple(row[:3]): row[3] for row in self.file.rows(_ROWS_BY_ENTITY)}
        changed = {key for key in now.keys() | self._before.keys() if now.get(key) != self._before.get(key)}
        self._before = now
        allowed = set(_keys_of(self.storage, run_id)) if run_id else set()
        outside = {key for key in changed if (key[1], key[2]) not in allowed}
        if outside:
            self.tell_broken(
                f"{run_id and run_id[:8]} changed {sorted(map(str, outside))} in a window of {purpose}"
            )

    def tell_broken(self, what: str) -> None:
        """Something did not hold within a process; the first one counts."""
        self.broken = self.broken or what


def _is_older(new: tuple[Any, Any], stored: tuple[Any, Any]) -> bool:
    if abs(new[1] - stored[1]) > REPLICA_LAG:
        return bool(new[1] < stored[1])
    return new < stored


def _keys_of(storage: DagsterStorage, run_id: str) -> Iterable[tuple[str, int]]:
    """What the run was given."""
    scope = scope_of(storage.runs[run_id].run)
    if isinstance(scope, Scope):
        yield from ((str(key.entity_type), key.iid) for key in tuple(scope.keys()))
