"""Preflight: fetch exactly the named entities and make sure that they are the ones that were meant.

Takes a scope, returns snapshots on disk (payload and ``fetched_at``), what is missing and what failed. Takes no
lock and writes nothing to the ledger: a run that ends here has changed no content.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial

import anyio.to_thread

from surgical_pipeline.domain.belonging import NOTHING_KNOWN, Belonging
from surgical_pipeline.domain.budgets import Budgets, Deadline, MonotonicClock
from surgical_pipeline.domain.failures import EntityFailure, Failure, FailureCode, StageFailedError, none_usable
from surgical_pipeline.domain.handover import PreflightResult
from surgical_pipeline.domain.progress import UNWATCHED, Tally
from surgical_pipeline.domain.records import EntityRecord, ProjectRecord
from surgical_pipeline.domain.scope import CHUNK_SIZE, EntityKey, EntityType, Scope
from surgical_pipeline.gitlab.client import FetchedEntities, GitLabClient
from surgical_pipeline.gitlab.errors import (
    ForbiddenError,
    GitLabError,
    InvalidPayloadError,
    ProjectNotFoundError,
    UnauthorizedError,
)
from surgical_pipeline.gitlab.identity import shown
from surgical_pipeline.gitlab.records import parse_entity
from surgical_pipeline.gitlab.retry import AS_USUAL, Patience
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.stages.shared.concurrency import run_each
from surgical_pipeline.stages.shared.halving import in_halves
from surgical_pipeline.stages.shared.same_gitlab import project_of_ledger

STAGE = "preflight"

_NAMES = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge requests"}
_SWITCHED_OFF = "the project says that its {what} are switched off, or kept from this token"

_SHARE_OF_BUDGET = 0.25
_LEAST_SECONDS = 2.0
"""One attempt at a batch or a part of it may take this share of the remaining time, but at least this long."""

_Batch = tuple[EntityType, Sequence[int]]


async def run_preflight(
    scope: Scope,
    *,
    gitlab: GitLabClient,
    snapshots: SnapshotFile,
    budgets: Budgets,
    belongs_to: Belonging = NOTHING_KNOWN,
    tally: Tally = UNWATCHED,
    clock: MonotonicClock = time.monotonic,
) -> PreflightResult:
    """Ask for the project, then for the entities in batches of 100, then singly for those the batches left out.

    A batch that fails for a reason that may lie in one record is asked for in halves: only the bad records fail.
    ``belongs_to``: what the run's ledger knows about its GitLab.

    Raises:
        StageFailedError: the project cannot be read or is another GitLab's, an answer belongs to another project
            or IID, or every entity failed.
    """
    deadline = Deadline.after(budgets.preflight_budget_seconds, clock)
    tally.begin(STAGE, len(scope))
    project = await project_of_ledger(
        scope.project, gitlab=gitlab, belongs_to=belongs_to, deadline=deadline, stage=STAGE
    )
    asked_at = gitlab.now()
    snapshots.append(())  # ingest reads the file even if nothing could be fetched
    fetch = _Fetch(project, gitlab=gitlab, snapshots=snapshots, deadline=deadline, tally=tally)
    # As many at once as may be in flight: each answer is written to disk before the next request.
    await run_each(_batches(scope), fetch.batch, at_once=gitlab.max_in_flight)
    await run_each(tuple(fetch.left_out), fetch.single, at_once=gitlab.max_in_flight)
    if not fetch.fetched and not fetch.missing:
        raise StageFailedError(none_usable(fetch.failures, stage=STAGE), tuple(fetch.failures))
    return PreflightResult(
        project=project,
        asked_at=asked_at,
        snapshots=snapshots.path,
        fetched=tuple(sorted(fetch.fetched)),
        missing=tuple(sorted(fetch.missing)),
        failures=tuple(fetch.failures),
    )


class _Fetch:
    """What preflight knows so far about each entity: every key ends in exactly one of the three results."""

    def __init__(
        self,
        project: ProjectRecord,
        *,
        gitlab: GitLabClient,
        snapshots: SnapshotFile,
        deadline: Deadline,
        tally: Tally,
    ) -> None:
        self._project_id = project.project_id
        self._unreadable = project.unreadable
        self._gitlab = gitlab
        self._snapshots = snapshots
        self._deadline = deadline
        self._tally = tally
        self._accepting = asyncio.Lock()
        self.fetched: list[EntityKey] = []
        self.left_out: list[EntityKey] = []
        self.missing: list[EntityKey] = []
        self.failures: list[EntityFailure] = []

    async def batch(self, batch: _Batch) -> None:
        """Fetch a batch; if one of its records may have made it fail, still fetch the others."""
        kind, iids = batch
        error = await self._ask(kind, iids, self._patience() if len(iids) > 1 else AS_USUAL)
        if error is None:
            return
        for part, of_part in await in_halves(
            iids, error, ask=partial(self._ask_again, kind), server_answers=self._server_answers
        ):
            self._failed({EntityKey(kind, iid) for iid in part}, of_part)

    async def single(self, key: EntityKey) -> None:
        error = await self._ask_single(key, AS_USUAL)
        if error is not None:
            self._failed({key}, error)

    async def _ask(self, kind: EntityType, iids: Sequence[int], patience: Patience) -> GitLabError | None:
        """Store the entities that the list returns of these; on failure return the error and store nothing."""
        wanted = {EntityKey(kind, iid) for iid in iids}
        try:
            answer = await self._gitlab.entities_by_iids(
                self._project_id, kind, iids=iids, deadline=self._deadline, patience=patience
            )
        except GitLabError as error:
            return error
        self.left_out.extend(sorted(wanted - await self._accept_beside(kind, answer, wanted=wanted)))
        return None

    async def _ask_again(self, kind: EntityType, iids: Sequence[int]) -> GitLabError | None:
        """Ask for a part of a failed batch: once, but a single entity gets the usual number of attempts."""
        if len(iids) == 1:
            return await self._ask_single(EntityKey(kind, iids[0]), self._patience())
        return await self._ask(kind, iids, self._patience(attempts=1))

    def _patience(self, attempts: int | None = None) -> Patience:
        """A record that makes GitLab hang must leave time for the others."""
        seconds = max(_LEAST_SECONDS, self._deadline.remaining * _SHARE_OF_BUDGET)
        return Patience(attempts=attempts, seconds=seconds)

    async def _server_answers(self) -> bool:
        return await self._gitlab.is_answering(self._project_id, self._deadline)

    async def _ask_single(self, key: EntityKey, patience: Patience) -> GitLabError | None:
        if key.entity_type in self._unreadable:
            # Not a miss: once the feature or the right returns, so do the entities. Nothing may look deleted.
            return ForbiddenError(_SWITCHED_OFF.format(what=_NAMES[key.entity_type]))
        try:
            answer = await self._gitlab.entity(self._project_id, key, self._deadline, patience=patience)
        except GitLabError as error:
            return error
        if answer is None:
            self.missing.append(key)
            self._tally.count(1, failed=1)
        else:
            found = FetchedEntities((answer.item,), answer.fetched_at)
            await self._accept_beside(key.entity_type, found, wanted={key})
        return None

    async def _accept_beside(
        self, kind: EntityType, answer: FetchedEntities, *, wanted: set[EntityKey]
    ) -> set[EntityKey]:
        """``_accept``, one answer at a time, in a thread: a hundred entities must not delay other answers."""
        async with self._accepting:
            return await anyio.to_thread.run_sync(self._accept, kind, answer, wanted)

    def _accept(self, kind: EntityType, answer: FetchedEntities, wanted: set[EntityKey]) -> set[EntityKey]:
        """Store the good records of an answer; returns every wanted key that is now decided, good or bad."""
        records: dict[EntityKey, EntityRecord] = {}
        invalid: set[EntityKey] = set()
        for item in answer.items:
            key = self._checked_identity(kind, item, wanted)
            try:
                record = parse_entity(kind, item, fetched_at=answer.fetched_at)
                _check_duplicate(records.get(key), record)
            except InvalidPayloadError as error:
                self._failed({key}, error)
                invalid.add(key)
                continue
            known = records.get(key)
            if known is None or record.updated_at >= known.updated_at:
                records[key] = record
        good = [record for key, record in sorted(records.items()) if key not in invalid]
        self._snapshots.append(good)
        self.fetched.extend(record.key for record in good)
        self._tally.count(len(good))
        return records.keys() | invalid

    def _checked_identity(self, kind: EntityType, item: dict[str, object], wanted: set[EntityKey]) -> EntityKey:
        """Keeps foreign entities out: one mismatch ends the run before anything is written."""
        found = item.get("project_id")
        target = item.get("target_project_id") if kind is EntityType.MERGE_REQUEST else None
        target = found if target is None else target
        iid = item.get("iid")
        named = f"{kind.sigil}{shown(iid)}"
        if found != self._project_id or target != self._project_id:
            other = found if found != self._project_id else target
            message = (
                f"GitLab gave {named} of project {shown(other)} where project {self._project_id} was asked for"
            )
        elif type(iid) is not int or EntityKey(kind, iid) not in wanted:
            asked = "+".join(str(key.iid) for key in sorted(wanted)[:5])
            message = f"GitLab gave {named}, which was not asked for (asked for {kind.sigil}{asked})"
        else:
            return EntityKey(kind, iid)
        raise StageFailedError(Failure(code=FailureCode.PROJECT_MISMATCH, message=message, stage=STAGE))

    def _failed(self, keys: Iterable[EntityKey], error: GitLabError) -> None:
        failure = error.as_failure(STAGE)
        if isinstance(error, UnauthorizedError | ProjectNotFoundError):
            raise StageFailedError(failure) from error
        failed = [EntityFailure(entity_type=key.entity_type, iid=key.iid, failure=failure) for key in sorted(keys)]
        self.failures.extend(failed)
        self._tally.count(len(failed), failed=len(failed))


def _check_duplicate(known: EntityRecord | None, record: EntityRecord) -> None:
    """The same row on two pages is normal for GitLab's paging; two different rows with one IID are an error."""
    if known is not None and known.gitlab_id != record.gitlab_id:
        raise InvalidPayloadError(
            f"GitLab gave {record.key} twice, with the ids {known.gitlab_id} and {record.gitlab_id}"
        )


def _batches(scope: Scope) -> Iterable[_Batch]:
    for kind, iids in ((EntityType.ISSUE, scope.issue_iids), (EntityType.MERGE_REQUEST, scope.mr_iids)):
        for start in range(0, len(iids), CHUNK_SIZE):
            yield kind, iids[start : start + CHUNK_SIZE]
