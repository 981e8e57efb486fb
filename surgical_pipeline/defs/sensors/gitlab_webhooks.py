"""The sensor on the inbox: it asks for a run for each project whose events have waited long enough.

An evaluation only reads. It can happen twice with the same cursor, if Dagster's daemon dies before it has stored
what the first one asked for; what became of an event is written when a run ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import dagster as dg

from surgical_pipeline.defs.dagster_runs import SYNC_JOB
from surgical_pipeline.defs.sensors.requests import (
    WEBHOOKS,
    asked_runs,
    event_request,
    held_by,
    seen_numbers,
    settle_requests,
    settle_scopes,
)
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.cursor import CursorError, InboxCursor
from surgical_pipeline.events.debounce import Waiting, to_ask
from surgical_pipeline.events.settling import Unsettled
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.events import PendingProject, pending_projects, waiting_entities
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import mark_of, went_back
from surgical_pipeline.ledger.settling import due_entities
from surgical_pipeline.settings import Settings

TICK_SECONDS = 2
"""Dagster's daemon looks every five seconds; with an interval of five it would skip every other look."""
_LOCK_TIMEOUT_SECONDS = 30.0
"""Dagster gives a tick 60 s; the next one is soon enough."""


@dg.sensor(
    name=WEBHOOKS,
    job_name=SYNC_JOB,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING
    if Settings.from_environment().expects_hooks
    else dg.DefaultSensorStatus.STOPPED,
    description="Syncs the issues and merge requests that GitLab's hooks name, soon after they changed.",
)
def gitlab_webhooks(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    settings = Settings.from_environment()
    ledger = open_ledger(settings, wait_at_most_seconds=_LOCK_TIMEOUT_SECONDS)
    tick = InboxTick(context.instance, ledger, settings.watches, now=utc_now())
    cursor, requests = tick.evaluate(context.cursor)
    skipped = None if requests else tick.told
    return dg.SensorResult(run_requests=requests, skip_reason=skipped, cursor=str(cursor))


@dataclass(slots=True)
class _Found:
    """What the ledger says, all of it read in one window."""

    mark: str = ""
    older: bool = False
    projects: Sequence[PendingProject] = ()
    waiting: Sequence[Waiting] = ()
    due: Sequence[Unsettled] = ()


@dataclass(slots=True)
class InboxTick:
    """One evaluation. ``watches``: what the sensors watch; empty: every project.

    ``sentences``: what people should know about it.
    """

    instance: dg.DagsterInstance
    ledger: Ledger
    watches: Sequence[Watch] = ()
    now: datetime = field(default_factory=utc_now, kw_only=True)
    sentences: list[str] = field(default_factory=list, kw_only=True)

    @property
    def told(self) -> str:
        return " ".join(self.sentences)

    def evaluate(self, text: str | None) -> tuple[InboxCursor, list[dg.RunRequest]]:
        """The next cursor, and what is asked for.

        Raises:
            LedgerError: the ledger cannot be read now; nothing is lost, the next tick does the same.
        """
        cursor = self._cursor(text)
        if not self.ledger.exists:
            self.sentences.append("There is no ledger yet, and so no event in it.")
            return cursor, []
        found = self._read(cursor)
        if found.older:
            self.sentences.append(
                f"The ledger is not the one of the last tick, or an older copy of it. Events up to {cursor.seq} "
                "were asked for; what waits in this one is asked for from the next tick on."
            )
            return InboxCursor(mark=found.mark, asks=cursor.asks), []
        return self._ask(replace(cursor, mark=found.mark), found)

    def _cursor(self, text: str | None) -> InboxCursor:
        try:
            return InboxCursor.parse(text) if text else InboxCursor()
        except CursorError as error:
            self.sentences.append(f"{error}.")
            return InboxCursor()

    def _read(self, cursor: InboxCursor) -> _Found:
        with self.ledger.read("inbox") as tx:
            if cursor.mark and went_back(tx, cursor.mark):
                return _Found(mark_of(tx), older=True)
            projects = pending_projects(tx)
            watched = [project for project in projects if self._is_watched(project)]
            # If projects are named, the sensor that polls them looks for what is to be fetched once more.
            due = () if self.watches else due_entities(tx, now=self.now)
            return _Found(mark_of(tx), projects=projects, waiting=waiting_entities(tx, watched), due=due)

    def _is_watched(self, project: PendingProject) -> bool:
        return not self.watches or any(one.covers(project.project_id, project.project) for one in self.watches)

    def _ask(self, cursor: InboxCursor, found: _Found) -> tuple[InboxCursor, list[dg.RunRequest]]:
        self._tell(found)
        if not (found.waiting or found.due or cursor.outstanding):
            return cursor, []
        runs = asked_runs(self.instance, self.now)
        cursor = cursor.without(seen_numbers(runs), now=self.now)
        held = held_by(runs, found.waiting) | cursor.held(found.waiting)
        asks = to_ask(found.waiting, now=self.now, held=held)
        cursor, numbers = cursor.after(asks, now=self.now)
        requests = [event_request(ask, number) for ask, number in zip(asks, numbers, strict=True)]
        asked = {(ask.project_id, key) for ask in asks for key in ask.keys}
        due = [one for one in found.due if one.identity not in asked and not any(run.covers(one) for run in runs)]
        scopes = settle_scopes(due)
        cursor, numbers = cursor.numbered(len(scopes), now=self.now)
        return cursor, requests + settle_requests(scopes, numbers)

    def _tell(self, found: _Found) -> None:
        pending = sum(project.events for project in found.projects if self._is_watched(project))
        others = sum(project.events for project in found.projects) - pending
        if pending:
            self.sentences.append(f"{_events(pending)} for a moment's quiet, another attempt or a run's end.")
        else:
            self.sentences.append("No event waits.")
        if others:
            self.sentences.append(f"{_events(others)}, too, of projects that SURGICAL_PROJECTS does not name.")


def _events(count: int) -> str:
    return "1 event waits" if count == 1 else f"{count} events wait"
