"""The boundary between Dagster and the stages: every op runs inside `stage`, which records how it ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import dagster as dg

from surgical_pipeline.defs.dagster_home import id_of
from surgical_pipeline.defs.dagster_runs import (
    events_upto_of,
    is_cancelled,
    mode_of,
    scope_of,
    trigger_of,
    worker_of,
)
from surgical_pipeline.defs.dagster_words import as_cause, as_dagster_failure, report_canceling
from surgical_pipeline.defs.gateways import RunGateways, gateways_of
from surgical_pipeline.defs.sync.config import StageConfig
from surgical_pipeline.defs.sync.own_processes import conductor_of
from surgical_pipeline.defs.sync.stage_report import reported
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import EntityFailure, Failure, FailureCode, StageFailedError
from surgical_pipeline.domain.lifecycle import Phase, RunStatus
from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.endings import NOTHING_USABLE
from surgical_pipeline.ledger.errors import LedgerError, RunLostError
from surgical_pipeline.ledger.runs import queue_run
from surgical_pipeline.settings import SettingsError


@dataclass(frozen=True, slots=True)
class StageSession:
    """What an op works with. ``goes_on``: the run begins here, where the run that it re-executes failed.

    ``only_changed``: the dependents, if those of unchanged entities are not to be fetched; else empty. ``tell``: a
    warning in Dagster's log of the run.
    """

    scope: Scope
    budgets: Budgets
    dependents: tuple[Dependent, ...]
    gateways: RunGateways
    goes_on: bool
    tell: Callable[[str], None]
    only_changed: tuple[Dependent, ...] = ()


@contextmanager
def stage(
    context: dg.OpExecutionContext, config: StageConfig, phase: Phase, *, handed_on: bool = True
) -> Iterator[StageSession]:
    """Enter a stage, and leave the ledger correct however the body ends.

    ``handed_on``: what the stages before handed on is on this machine.
    """
    gateways = gateways_of(context)
    try:
        scope = config.resolve_scope(context.partition_key if context.has_partition_key else None)
        goes_on = gateways.enter(
            context.run,
            scope=scope,
            phase=phase,
            instance=context.instance,
            conductor=conductor_of(context),
            handed_on=handed_on,
        )
        dependents = config.dependent_list()
        only_changed = dependents if config.only_changed else ()
        with reported(context, gateways, phase):
            tell = context.log.warning
            yield StageSession(scope, config.budgets(), dependents, gateways, goes_on, tell, only_changed)
    except StageFailedError as error:
        _fail(gateways, error.failure, cause=error, of_entities=error.of_entities)
    except ScopeError as error:
        _announce(context, gateways)
        _fail(gateways, Failure(code=FailureCode.NOT_FOUND, message=str(error), stage=phase), cause=error)
    except (SettingsError, EmbedderError) as error:
        _fail(gateways, Failure(code=error.code, message=str(error), stage=phase), cause=error)
    except RunLostError as error:
        if _cancelled(context):
            # Forcibly terminated: raising another failure would turn Dagster's CANCELED into FAILURE.
            raise dg.DagsterExecutionInterruptedError from error
        raise dg.Failure(f"stopped: {error}", allow_retries=False) from error
    except LedgerError as error:
        _fail(gateways, Failure(code=error.code, message=str(error), stage=phase), cause=error)
    except OSError as error:  # for example, preflight's snapshots could not be stored in DAGSTER_HOME
        message = f"{error.strerror}: {error.filename}"
        _fail(gateways, Failure(code=FailureCode.LEDGER_ERROR, message=message, stage=phase), cause=error)
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        _interrupted(context, gateways, phase=phase)
        raise
    except Exception as error:  # noqa: BLE001  the boundary: a defect must end in the ledger, too
        message = f"{type(error).__name__}: {error}"
        _fail(gateways, Failure(code=FailureCode.INTERNAL_ERROR, message=message, stage=phase), cause=error)


def finish(gateways: RunGateways) -> None:
    """Conclude a run that completed all stages from its outcomes, unless its last window did."""
    if gateways.run.conclude() is RunStatus.FAILED:
        raise StageFailedError(NOTHING_USABLE)
    gateways.snapshots.delete()


def _announce(context: dg.OpExecutionContext, gateways: RunGateways) -> None:
    """A run that cannot start because its scope cannot be read still gets its row."""
    with suppress(LedgerError), gateways.ledger.write("announce") as tx:
        queue_run(
            tx,
            context.run_id,
            scope=scope_of(context.run),
            mode=mode_of(context.run),
            trigger=trigger_of(context.run),
            dagster_instance=id_of(context.instance),
            queued_at=utc_now(),
            parent_run_id=context.run.parent_run_id,
            events_upto=events_upto_of(context.run),
        )


def _fail(
    gateways: RunGateways, failure: Failure, *, cause: Exception, of_entities: Sequence[EntityFailure] = ()
) -> NoReturn:
    """End the run in the ledger, if it can be reached, and in Dagster."""
    try:
        gateways.fail(failure, of_entities)
    except LedgerError as error:
        cause.add_note(f"and the ledger could not be told: {error}")
    raise as_dagster_failure(failure) from as_cause(cause)


def _interrupted(context: dg.OpExecutionContext, gateways: RunGateways, *, phase: Phase) -> None:
    """A terminated run is already CANCELING in Dagster; after a bare signal it is not: Dagster calls it failed.

    For a run in a command's own process, a signal is Ctrl+C or SIGTERM, and so a cancellation. If the ledger
    cannot be told now, Dagster must hear of the interrupt all the same: it would call the run failed.
    """
    if worker_of(context.run) is not None:
        report_canceling(context.instance, context.run_id)
    try:
        if _cancelled(context):
            gateways.cancel()
        else:
            message = f"the process was told to stop during {phase}"
            gateways.fail(Failure(code=FailureCode.CANCELLED, message=message, stage=phase))
    except LedgerError as error:
        context.log.warning("The run was interrupted, and the ledger could not be told: %s", error)


def _cancelled(context: dg.OpExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run_id)
    return run is not None and is_cancelled(run)
