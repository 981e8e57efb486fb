"""Dependents: fetch each dependent of each entity, and replace it whole or not at all.

Takes the entities that ingest left fresh and passes them on to docs. Each entity has a timeout and the stage a
budget; what exceeds them is recorded with code TIMEOUT and the others go on. Entities are written in groups.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from surgical_pipeline.domain.belonging import Belonging
from surgical_pipeline.domain.budgets import Budgets, Deadline, MonotonicClock
from surgical_pipeline.domain.dependents import CODE_DEPENDENTS, CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode, StageFailedError
from surgical_pipeline.domain.freshness import unbelieved_text
from surgical_pipeline.domain.handover import Sources
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityWarning
from surgical_pipeline.domain.progress import UNWATCHED, Tally
from surgical_pipeline.domain.records import DependentRecords, DependentSet, LinkedRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.errors import GitLabError, ProjectNotFoundError, UnauthorizedError
from surgical_pipeline.ledger import dependents as store
from surgical_pipeline.ledger.dependents import CodeVersion, Replacement
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.stages.shared.concurrency import run_all, run_each
from surgical_pipeline.stages.shared.same_gitlab import project_of_ledger

STAGE = "dependents"
GROUP_SIZE = 100
"""Maximum number of entities per write window."""
GROUP_LINGER_SECONDS = 1.0
"""How long a finished entity waits for others to share its window: a window costs 5-30 ms, whatever its size."""


@dataclass(slots=True)
class _Entity:
    """One entity in progress: ``waiting`` counts the dependents that are not fetched yet.

    ``code``: for a merge request whose commits or diffs are wanted, the state of its code before their fetch.
    """

    key: EntityKey
    waiting: int
    code: CodeVersion | None = None
    deadline: Deadline | None = None
    sets: list[DependentSet] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


_Job = tuple[_Entity, Dependent]
_Finished = asyncio.Queue[_Entity | None]


async def run_dependents(
    sources: Sources,
    *,
    gitlab: GitLabClient,
    run: SyncRunRecorder,
    budgets: Budgets,
    dependents: Sequence[Dependent] = CORE_DEPENDENTS,
    belongs_to: Belonging | None = None,
    tally: Tally = UNWATCHED,
    clock: MonotonicClock = time.monotonic,
) -> Sources:
    """Bring the dependents of all sources but the unchanged ones up to date, as far as the budget allows.

    One flat queue of (entity, dependent) keeps every place in flight busy, so a slow answer costs its own
    entity and one place, not its neighbours. The queue of writes is bounded: while others hold the
    ledger, no more is fetched than fits into the queue.

    ``belongs_to``: what the ledger knows about its GitLab, in a run that continues another process's preflight.
    Then GitLab is asked for the project first: it may have changed since.

    Raises:
        StageFailedError: the project is gone or another GitLab's, or the token refused.
    """
    deadline = Deadline.after(budgets.dependents_budget_seconds, clock)
    if belongs_to is not None:
        project = str(sources.project_id)
        await project_of_ledger(project, gitlab=gitlab, belongs_to=belongs_to, deadline=deadline, stage=STAGE)
    keys = [key for key in sources.keys if key not in sources.unchanged]
    tally.begin(STAGE, len(keys))
    versions = await _code_versions(sources.project_id, keys, run=run, dependents=dependents)
    # Lazy: a list would keep it all alive.
    jobs = _jobs(keys, dependents=dependents, versions=versions, tally=tally)
    finished: _Finished = asyncio.Queue(maxsize=2 * GROUP_SIZE)
    fetch = _Fetch(
        sources,
        gitlab=gitlab,
        entity_timeout_seconds=budgets.entity_timeout_seconds,
        deadline=deadline,
        finished=finished,
    )

    async def fetch_everything() -> None:
        await run_each(jobs, fetch.one, at_once=gitlab.max_in_flight)
        await finished.put(None)

    writing = _write_groups(finished, run=run, project_id=sources.project_id, clock=gitlab.clock, tally=tally)
    await run_all((fetch_everything(), writing))
    return sources


async def _code_versions(
    project_id: int, keys: Sequence[EntityKey], *, run: SyncRunRecorder, dependents: Sequence[Dependent]
) -> Mapping[EntityKey, CodeVersion]:
    """Which merge requests' code the ledger knows: unchanged code is not fetched again."""
    if not keys or not CODE_DEPENDENTS & set(dependents):
        return {}
    return await run.in_read(STAGE, partial(store.code_versions, project_id=project_id, keys=keys))


def _jobs(
    keys: Sequence[EntityKey],
    *,
    dependents: Sequence[Dependent],
    versions: Mapping[EntityKey, CodeVersion],
    tally: Tally,
) -> Iterator[_Job]:
    for key in keys:
        code = versions.get(key)
        wanted = [
            dependent
            for dependent in dependents
            if key.entity_type in dependent.applies_to and not (code and code.has_current(dependent))
        ]
        if not wanted:
            tally.count(1)
        entity = _Entity(key, waiting=len(wanted), code=code)
        for dependent in wanted:
            yield entity, dependent


def _with_source_versions(sets: Sequence[DependentSet], *, code: CodeVersion | None) -> list[DependentSet]:
    """Set which state of the code commits and diffs belong to, if that is certain: those are not fetched again.

    Between reading the head and the fetch somebody may push, and push back afterwards; and while GitLab still
    prepares a merge request, its lists are empty. The newest commit decides, also for diffs fetched with it.
    """
    commits = next((one.records for one in sets if one.dependent is Dependent.COMMITS), None)
    sure = code is not None and (commits is None or _head(commits) == code.head)
    version = code.current if code is not None and sure else None
    return [
        replace(one, source_version=version if one.records else None) if one.dependent in CODE_DEPENDENTS else one
        for one in sets
    ]


def _head(commits: DependentRecords) -> str | None:
    """The newest commit, which GitLab returns first."""
    first = commits[0] if commits else None
    return first.record_id if isinstance(first, LinkedRecord) else None


class _Fetch:
    def __init__(
        self,
        sources: Sources,
        *,
        gitlab: GitLabClient,
        entity_timeout_seconds: float,
        deadline: Deadline,
        finished: _Finished,
    ) -> None:
        self._sources = sources
        self._gitlab = gitlab
        self._entity_timeout_seconds = entity_timeout_seconds
        self._deadline = deadline
        self._finished = finished

    async def one(self, job: _Job) -> None:
        """Fetch one dependent; the job that fetches an entity's last one passes the entity on."""
        entity, dependent = job
        if entity.deadline is None:
            entity.deadline = self._deadline.within(self._entity_timeout_seconds)
        result = await self._fetch(entity.key, dependent, deadline=entity.deadline)
        if isinstance(result, Failure):
            entity.failures.append(result)
        else:
            entity.sets.append(result)
        entity.waiting -= 1
        if not entity.waiting:
            entity.sets = _with_source_versions(entity.sets, code=entity.code)
            await self._finished.put(entity)

    async def _fetch(self, key: EntityKey, dependent: Dependent, *, deadline: Deadline) -> DependentSet | Failure:
        if self._deadline.passed:
            message = f"the budget of stage {STAGE} ran out before {dependent} of {key} could be fetched"
            return Failure(code=FailureCode.TIMEOUT, message=message, stage=STAGE, dependent=dependent)
        try:
            return await self._gitlab.dependent(
                self._sources.project_id,
                key,
                dependent=dependent,
                deadline=deadline,
                gitlab_id=self._sources.gitlab_ids.get(key),
            )
        except (UnauthorizedError, ProjectNotFoundError) as error:
            # This concerns the whole run: no further answer would be usable.
            raise StageFailedError(error.as_failure(STAGE)) from error
        except GitLabError as error:
            return error.as_failure(STAGE, dependent=dependent)


async def _write_groups(
    finished: _Finished, *, run: SyncRunRecorder, project_id: int, clock: GitLabClock, tally: Tally
) -> None:
    """Write entities as they finish, each window all that have finished by then."""
    async for group, last in _groups(finished):
        write = partial(_write_group, run=run, project_id=project_id, group=group, clock=clock, last=last)
        tally.count(len(group), failed=await run.in_window(STAGE, write))


async def _groups(finished: _Finished) -> AsyncIterator[tuple[list[_Entity], bool]]:
    """Finished entities, group by group, and whether no other is known to follow."""
    open_end = True
    while open_end:
        first = await finished.get()
        if first is None:
            return
        group = [first]
        try:
            async with asyncio.timeout(GROUP_LINGER_SECONDS):
                while len(group) < GROUP_SIZE:
                    entity = await finished.get()
                    if entity is None:
                        open_end = False
                        break
                    group.append(entity)
        except TimeoutError:
            pass
        yield group, not open_end


def _write_group(
    tx: Transaction,
    *,
    run: SyncRunRecorder,
    project_id: int,
    group: Sequence[_Entity],
    clock: GitLabClock,
    last: bool,
) -> int:
    """Returns how many entities of the group lack something."""
    sets = [one for entity in group for one in entity.sets]
    done = store.replace_dependents(tx, run.run_id, project_id, sets, present=clock.present)
    failures = {entity.key: (*entity.failures, *_refused(entity.key, done)) for entity in group}
    told = {key for key, found in failures.items() if found} | {key for key, _ in (*done.stale, *done.unbelieved)}
    if told:
        run.save_outcomes(
            tx, [_outcome(known, failures[known.key], done=done) for known in run.outcomes(tx, keys=told)]
        )
    run.add_counters(
        tx,
        dependents_replaced=len(done.replaced),
        dependents_stale_skipped=len(done.stale),
        dependent_failures=sum(map(len, failures.values())),
    )
    if last:
        run.set_phase(Phase.DOCS, tx)
    return sum(map(bool, failures.values()))


def _refused(key: EntityKey, done: Replacement) -> Iterator[Failure]:
    for (owner, dependent), message in done.foreign.items():
        if owner == key:
            yield Failure(code=FailureCode.INVALID_PAYLOAD, message=message, stage=STAGE, dependent=str(dependent))


def _outcome(known: EntityOutcome, failures: tuple[Failure, ...], *, done: Replacement) -> EntityOutcome:
    unbelieved = [
        EntityWarning(stage=STAGE, message=unbelieved_text(f"its {dependent}", fetched_at))
        for (key, dependent), fetched_at in done.unbelieved.items()
        if key == known.key
    ]
    return known.model_copy(
        update={
            "dependent_failures": failures,
            "dependents_stale_skipped": tuple(str(one) for one in Dependent if (known.key, one) in done.stale),
            "warnings": (*known.warnings, *unbelieved),
        }
    )
