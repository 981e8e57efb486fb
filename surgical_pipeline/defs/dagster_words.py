"""Dagster's events and our endings: reads from the log why a run failed, and reports an ending as an event."""

import re
import traceback
from typing import Any

import dagster as dg
from dagster import DagsterEventType

from surgical_pipeline.defs.dagster_runs import is_cancelled
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.foreign_text import make_logs_visible, visible
from surgical_pipeline.domain.lifecycle import Phase, RunStatus

_TOLD = re.compile(r"(?P<code>[A-Z_]+): (?P<message>.+)", re.DOTALL)
_STAGE_LOST = "ChildProcessCrashException"
"""What Dagster says if a stage has a process of its own and that is killed."""
_NOT_HERE = (
    "what it wrote is not in this ledger: it succeeded in Dagster, and then an older copy of the ledger "
    "was put in its place"
)

# Wherever Dagster loads us, our log also goes to terminals. Its own log is not ours alone: `definitions.py`.
make_logs_visible("surgical_pipeline")


def as_cause(error: Exception) -> Exception:
    """``error``, for Dagster to show under a failure; with escapes if its text needs them."""
    told = "".join(traceback.format_exception(error))
    return error if visible(told) == told else RuntimeError(visible(told))


def as_dagster_failure(failure: Failure) -> dg.Failure:
    """What an op raises to end its run by ``failure``, with the code where ``ending_of`` looks for it."""
    return dg.Failure(
        description=visible(f"{failure.code}: {failure.message}"),
        metadata={"code": str(failure.code), "what to do": failure.code.advice, "stage": failure.stage},
        allow_retries=False,
    )


def ending_of(instance: dg.DagsterInstance, run_id: str, *, phase: Phase) -> Failure:
    """What ended a run that could not record it in the ledger: a failure, or CANCELLED.

    Dagster's log has the failure that a stage raised, with its code. An error of Dagster's own, such as
    definitions that cannot be loaded, is reported as it is. Without either, the process disappeared.
    """
    stage, run = str(phase), instance.get_run_by_id(run_id)
    if run is not None and is_cancelled(run):
        return Failure(code=FailureCode.CANCELLED, message="The run was cancelled.", stage=stage)
    if run is not None and run.is_success and _came_to_its_end(instance, run_id):
        return Failure(code=FailureCode.LEDGER_ERROR, message=_NOT_HERE, stage=stage)
    failed = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    events = [entry.get_dagster_event() for entry in instance.all_logs(run_id, of_type=failed)]
    for event in events:
        told = event.step_failure_data.user_failure_data if event.is_step_failure else None
        code = told.metadata.get("code") if told else None
        if told and code:
            message = str(told.description).removeprefix(f"{code.value}: ")
            return Failure(code=FailureCode[str(code.value)], message=message, stage=stage)
    for event in events:
        told_by_us = _TOLD.fullmatch(event.message or "")
        if told_by_us and told_by_us["code"] in FailureCode.__members__:
            return Failure(code=FailureCode[told_by_us["code"]], message=told_by_us["message"], stage=stage)
    error = next(filter(None, map(_error_of, events)), None)
    if error is not None:
        lost = error.cls_name == _STAGE_LOST
        reason = FailureCode.WORKER_LOST if lost else FailureCode.INTERNAL_ERROR
        what = "the process of a stage is gone" if lost else "Dagster could not run it"
        return Failure(code=reason, message=f"{what}: {error.message.strip()}", stage=stage)
    message = next((event.message for event in events if event.message), "its process ended without a word")
    return Failure(code=FailureCode.WORKER_LOST, message=message, stage=stage)


def _error_of(event: dg.DagsterEvent) -> Any:
    """The root of Dagster's own error that ended a step or a run; a failure that somebody reported has none."""
    data = event.step_failure_data if event.is_step_failure else event.job_failure_data
    error = getattr(data, "error", None)
    while error and error.cause:
        error = error.cause
    return error


def _came_to_its_end(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether its last stage succeeded, which writes the run's ending."""
    done = instance.all_logs(run_id, of_type={DagsterEventType.STEP_SUCCESS})
    return any((entry.step_key or "").rpartition(".")[2] == Phase.EMBED for entry in done)


def report_canceling(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tell Dagster that termination was requested, so that it does not count the interrupt as a failure."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished and run.status is not dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run)


def report_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, failure: Failure) -> None:
    """Tell Dagster that a run failed before its first stage, so that ``ending_of`` returns the same failure."""
    instance.report_run_failed(run, visible(f"{failure.code}: {failure.message}"))


def report_ending(instance: dg.DagsterInstance, run: dg.DagsterRun, status: RunStatus, why: str) -> None:
    """Report to Dagster how a run ended, if its process can no longer do so."""
    message = visible(f"Ended by the ledger as {status}: {why}")
    if status is RunStatus.CANCELLED:
        instance.report_run_canceled(run, message)
    elif status is RunStatus.FAILED:
        instance.report_run_failed(run, message)
    else:
        event = dg.DagsterEvent(
            event_type_value=DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name, message=message
        )
        instance.report_dagster_event(event, run.run_id)
