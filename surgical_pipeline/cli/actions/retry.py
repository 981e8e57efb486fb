"""A retry from a terminal: find the run, plan, run the job over what is worth it, with the run as its parent."""

from collections.abc import Mapping

from surgical_pipeline.cli.actions.sync import checked_ledger, execute
from surgical_pipeline.cli.environment import EXIT_USAGE, fail, ledger_errors
from surgical_pipeline.cli.interrupts import Interrupts
from surgical_pipeline.cli.progress import Display
from surgical_pipeline.cli.terminal import say
from surgical_pipeline.defs.launch import repeated_config
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.retry import RetryResult, plan_retry
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import find_run, load_result


def retry_run(
    prefix: str,
    *,
    changes: Mapping[str, float | None],
    verbose: bool,
    display: Display,
    interrupts: Interrupts,
) -> RetryResult:
    """Run again the entities of a run that are worth another try.

    Raises:
        typer.Exit: 2 if there is no such run, or it has not ended, or a setting is wrong.
    """
    with ledger_errors():
        ledger = checked_ledger()
    parent = _ended_run(ledger, prefix)
    plan = plan_retry(parent)
    if plan.scope is None:
        return RetryResult(parent_run_id=parent.run_id, scope=None, left_alone=plan.left_alone, result=None)
    with ledger_errors():
        config = repeated_config(
            parent.run_id,
            scope=plan.scope,
            changes={name: value for name, value in changes.items() if value is not None},
            log_level="INFO" if verbose else "CRITICAL",
        )
    result = execute(config, ledger=ledger, display=display, interrupts=interrupts, parent_run_id=parent.run_id)
    return RetryResult(
        parent_run_id=parent.run_id, scope=str(plan.scope), left_alone=plan.left_alone, result=result
    )


def print_left_alone(retried: RetryResult) -> None:
    """A line for each entity that failed for good; those that are up to date are counted."""
    up_to_date = sum(one.code is None for one in retried.left_alone)
    for one in retried.left_alone:
        if one.code is not None:
            say(f"left alone: {one.entity} {one.code} {one.reason}")
    if up_to_date:
        say(f"left alone: {up_to_date} that are up to date")
    if retried.scope is None:
        say("Nothing of this run is worth another try.")
    else:
        say(f"tried again: {retried.scope}")
        say()


def _ended_run(ledger: Ledger, prefix: str) -> SyncResult:
    with ledger_errors(), ledger.read("run") as tx:
        found = find_run(tx, prefix)
        result = load_result(tx, found.run_id) if found else None
    if result is None:
        fail(
            f"no run begins with {prefix!r}: it never was, or it was pruned; see `surgical-pipeline runs list`",
            code=EXIT_USAGE,
        )
    if not RunStatus(result.completion_status).terminal:
        fail(
            f"run {result.run_id} is {result.completion_status}: wait for its end; if its process is gone, "
            "`surgical-pipeline runs reconcile` ends it",
            code=EXIT_USAGE,
        )
    return result
