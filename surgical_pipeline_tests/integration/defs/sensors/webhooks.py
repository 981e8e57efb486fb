"""The sensor on an inbox, with a Dagster instance that submits what it asks for, as the daemon does."""

from collections.abc import Sequence

import dagster as dg
from dagster import DagsterRunStatus

from surgical_pipeline.defs.dagster_runs import SYNC_JOB, events_upto_of
from surgical_pipeline.defs.sensors.gitlab_webhooks import InboxTick
from surgical_pipeline.defs.sensors.requests import WEBHOOKS
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.cursor import InboxCursor
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline_tests.integration.ledger.examples import AnyLedger, HandClock, issue, run_sql
from surgical_pipeline_tests.integration.ledger.inbox import receive, take

BROKEN = Failure(code=FailureCode.SERVER_ERROR, message="GitLab answered 500.", stage="preflight")


class Inbox:
    """``clock``: Dagster dates runs by the real time, so it begins there and is never behind a run's making."""

    def __init__(self, instance: dg.DagsterInstance, ledger: AnyLedger) -> None:
        self.instance = instance
        self.clock = HandClock(utc_now())
        self.ledger = ledger
        with self.ledger.write("make"):
            pass
        self.cursor: str | None = None
        self.told = ""
        self._seq = 0

    def receive(self, iid: int, *, ago: float = 5, project_id: int = 7, path: str = "'acme/rocket'") -> None:
        """An event of an issue that came so many seconds ago."""
        self._seq += 1
        receive(self.ledger, issue(iid), seq=self._seq, project_id=project_id, path=path)
        received = self.clock.now.timestamp() - ago
        with self.ledger.write("date") as tx:
            run_sql(tx, f"UPDATE gitlab_events SET received_at = to_timestamp({received}) WHERE seq = {self._seq}")

    def evaluate(self, watches: Sequence[Watch] = ()) -> tuple[InboxCursor, list[dg.RunRequest]]:
        """One evaluation with the stored cursor; stores and submits nothing."""
        tick = InboxTick(self.instance, self.ledger, watches, now=self.clock.now)
        found = tick.evaluate(self.cursor)
        self.told = tick.told
        return found

    def tick(self, watches: Sequence[Watch] = ()) -> list[dg.RunRequest]:
        """An evaluation whose cursor is stored; nothing is submitted yet."""
        cursor, requests = self.evaluate(watches)
        self.cursor = str(cursor)
        return requests

    def submit(
        self, request: dg.RunRequest, status: DagsterRunStatus = DagsterRunStatus.STARTING
    ) -> dg.DagsterRun:
        """The run that Dagster's daemon makes of a request."""
        tags = {**request.tags, "dagster/sensor_name": WEBHOOKS, "dagster/run_key": str(request.run_key)}
        run = self.instance.add_run(
            dg.DagsterRun(job_name=SYNC_JOB, run_config=request.run_config, status=status, tags=tags)
        )
        self.clock.now = max(self.clock.now, utc_now())
        return run

    def fail(self, run: dg.DagsterRun, scope: str = "7#1") -> None:
        """The run fails, in the ledger and in Dagster."""
        recorder = take(self.ledger, run.run_id, scope, upto=events_upto_of(run), clock=self.clock)
        recorder.finish_failed(BROKEN)
        event = dg.DagsterEvent(event_type_value="PIPELINE_FAILURE", job_name=SYNC_JOB)
        self.instance.report_dagster_event(event, run.run_id)


def scopes(requests: Sequence[dg.RunRequest]) -> list[str]:
    """What they ask for, as the ops see it."""
    blocks = [request.run_config["ops"]["surgical_sync"]["config"] for request in requests]
    return [f"{block['project']} {block['issue_iids']} {block['mr_iids']}" for block in blocks]
