"""How sensors ask for runs of `surgical_sync_job`, and what Dagster knows of those they asked for before."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from surgical_pipeline.defs.dagster_runs import (
    EVENTS_TAG,
    NOT_FINISHED,
    RUN_KEY_TAG,
    SENSOR_TAG,
    Origin,
    events_upto_of,
    scope_of,
    scope_tags,
)
from surgical_pipeline.defs.sync.config import block_of
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.events.cursor import APPEARS_WITHIN
from surgical_pipeline.events.debounce import Ask, Waiting
from surgical_pipeline.events.settling import Unsettled

WEBHOOKS, CHANGES = "gitlab_webhooks", "gitlab_changes"
"""The sensors that ask for runs."""

_NUMBER = re.compile(r", ask ([0-9]+)$")


def sync_request(
    scope: Scope,
    *,
    origin: Origin,
    run_key: str,
    project: str | None = None,
    events: str | None = None,
    budgets: Budgets | None = None,
    only_changed: bool = False,
) -> dg.RunRequest:
    """A request for one run.

    Args:
        scope: what it is to sync.
        origin: what asks for it.
        run_key: another for each time that it is asked for: Dagster makes no second run of a key, ever.
        project: the project's path for people, if the scope names it by its id.
        events: the events that it takes; ends with the number up to which it does.
        budgets: what it may take; the usual if None.
        only_changed: it fetches no dependents of what is as the ledger has it.
    """
    return dg.RunRequest(
        run_key=run_key,
        run_config=block_of(
            scope, budgets=budgets or Budgets(), dependents=CORE_DEPENDENTS, only_changed=only_changed
        ),
        tags={
            **origin.tags,
            **scope_tags(scope, project),
            **({} if events is None else {EVENTS_TAG: events}),
        },
    )


def event_request(ask: Ask, number: int) -> dg.RunRequest:
    """The run that an ask is for. ``number``: the ask's, which no other has."""
    run_key = (
        f"events {ask.first_seq} to {ask.upto} of project {ask.project_id}, attempt {ask.attempt}, ask {number}"
    )
    return sync_request(ask.scope, origin=Origin.WEBHOOK, run_key=run_key, project=ask.project, events=str(ask))


def settle_scopes(due: Iterable[Unsettled]) -> list[tuple[str, Scope]]:
    """What is due as scopes of one project and at most one chunk each, with the project's path."""
    by_project: dict[tuple[int, str], list[EntityKey]] = {}
    for one in due:
        by_project.setdefault((one.project_id, one.project), []).append(one.key)
    return [
        (project, chunk)
        for (project_id, project), keys in sorted(by_project.items())
        for chunk in Scope.of(
            str(project_id),
            issue_iids=(key.iid for key in keys if key.entity_type is EntityType.ISSUE),
            mr_iids=(key.iid for key in keys if key.entity_type is EntityType.MERGE_REQUEST),
        ).chunks()
    ]


def settle_requests(scopes: Sequence[tuple[str, Scope]], numbers: Sequence[int]) -> list[dg.RunRequest]:
    """The runs for `settle_scopes`, with a number each as for `event_request`."""
    return [
        sync_request(
            scope,
            origin=Origin.SETTLE,
            run_key=f"once more {len(scope)} of project {scope.project}, ask {number}",
            project=project,
        )
        for (project, scope), number in zip(scopes, numbers, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A run that a sensor asked for and that Dagster has.

    ``number``: of the ask, None if a sensor without numbers asked. ``upto``: as `events_upto_of`.
    """

    scope: Scope
    number: int | None
    upto: int | None
    made_at: datetime
    finished: bool

    def holds(self, one: Waiting) -> bool:
        """Whether the entity's events wait for it: it has not ended, or its end is not in the ledger yet."""
        if self.upto is None or self.scope.project != str(one.project_id) or one.key not in self.scope:
            return False
        if not self.finished:
            return True
        untold = one.attempted_at is None or one.attempted_at < self.made_at
        return untold and one.first_seq <= self.upto

    def covers(self, one: Unsettled) -> bool:
        """Whether it fetches the entity."""
        return self.scope.project in (str(one.project_id), one.project) and one.key in self.scope


def asked_runs(instance: dg.DagsterInstance, now: datetime) -> list[AskedRun]:
    """Runs that sensors asked for and that have not ended, or were made within the last minute."""
    tags = {SENSOR_TAG: [WEBHOOKS, CHANGES]}
    records = {
        record.dagster_run.run_id: record
        for wanted in (
            dg.RunsFilter(tags=tags, statuses=NOT_FINISHED),
            dg.RunsFilter(tags=tags, created_after=now - APPEARS_WITHIN),
        )
        for record in instance.get_run_records(wanted)
    }
    return [run for record in records.values() if (run := _asked_run(record)) is not None]


def _asked_run(record: dg.RunRecord) -> AskedRun | None:
    run = record.dagster_run
    scope = scope_of(run)
    if isinstance(scope, str):
        return None
    number = _NUMBER.search(run.tags.get(RUN_KEY_TAG, ""))
    return AskedRun(
        scope=scope,
        number=int(number[1]) if number else None,
        upto=events_upto_of(run),
        made_at=record.create_timestamp,
        finished=run.is_finished,
    )


def seen_numbers(runs: Iterable[AskedRun]) -> set[int]:
    """The numbers of the asks whose runs Dagster has."""
    return {run.number for run in runs if run.number is not None}


def held_by(runs: Collection[AskedRun], waiting: Iterable[Waiting]) -> set[tuple[int, EntityKey]]:
    """Entities whose events wait for one of these runs."""
    return {one.identity for one in waiting if any(run.holds(one) for run in runs)}
