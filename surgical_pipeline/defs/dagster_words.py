"""Between Dagster's events and our endings: why a run failed by its log, and an ending as one of its events."""

import dagster as dg
from dagster import DagsterEventType

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.ledger.runs import RunSummary


def as_dagster_failure(failure: Failure) -> dg.Failure:
    """What an op raises to end its run by ``failure``, with the code where ``failure_of`` looks for it."""
    return dg.Failure(
        description=f"{failure.code}: {failure.message}",
        metadata={"code": str(failure.code), "what to do": failure.code.advice, "stage": failure.stage},
        allow_retries=False,
    )


def failure_of(instance: dg.DagsterInstance, run: RunSummary) -> Failure:
    """Why a run failed that could not tell the ledger itself.

    The failure that one of its stages raised stands in Dagster's log with its code. An error of Dagster's own,
    such as definitions that cannot be loaded, is told as it is. Without either, the process just went away.
    """
    stage = str(run.phase)
    failed = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    events = [entry.get_dagster_event() for entry in instance.all_logs(run.run_id, of_type=failed)]
    for event in events:
        told = event.step_failure_data.user_failure_data if event.is_step_failure else None
        code = told.metadata.get("code") if told else None
        if told and code:
            return Failure(code=FailureCode[str(code.value)], message=str(told.description), stage=stage)
    for event in events:
        data = event.step_failure_data if event.is_step_failure else event.job_failure_data
        error = getattr(data, "error", None)  # where somebody reported the failure there is no data
        if error:
            while error.cause:
                error = error.cause
            message = f"Dagster could not run it: {error.message.strip()}"
            return Failure(code=FailureCode.INTERNAL_ERROR, message=message, stage=stage)
    reason = next((event.message for event in events if event.message), "its process ended without a word")
    return Failure(code=FailureCode.WORKER_LOST, message=reason, stage=stage)


def report_canceling(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tell Dagster that somebody asked for the end, so that the interrupt that follows is no failure to it."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished and run.status is not dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run)


def report_ending(instance: dg.DagsterInstance, run: dg.DagsterRun, status: RunStatus, why: str) -> None:
    """Tell Dagster how a run ended whose process can no longer do so."""
    message = f"Ended by the ledger as {status}: {why}"
    if status is RunStatus.CANCELLED:
        instance.report_run_canceled(run, message)
    elif status is RunStatus.FAILED:
        instance.report_run_failed(run, message)
    else:
        event = dg.DagsterEvent(
            event_type_value=DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name, message=message
        )
        instance.report_dagster_event(event, run.run_id)
