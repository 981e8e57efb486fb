"""Whether each stage of a run has a process of its own, and which process starts them: its executor decides."""

import multiprocessing
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from surgical_pipeline.domain.lifecycle import STAGES, Phase
from surgical_pipeline.ledger.process import ProcessIdentity

_ONE_PROCESS = {"in_process", "execute_in_process_executor"}
_MULTIPROCESS, _EITHER = "multiprocess", "multi_or_in_process_executor"


def conductor_of(context: dg.OpExecutionContext) -> ProcessIdentity | None:
    """The process that starts one for each stage; None: all stages are in this one.

    It lives as long as the run does, so whoever can see that it is gone knows that the run is lost. Where it may
    be on another machine (an executor that starts containers) nobody can see it, and heartbeats alone tell.
    """
    executor = context.job_def.executor_def.name
    if executor in _ONE_PROCESS or (executor == _EITHER and "in_process" in _execution(context.run)):
        return None
    parent = multiprocessing.parent_process()
    if executor in (_MULTIPROCESS, _EITHER) and parent is not None and parent.pid is not None:
        return ProcessIdentity.of(parent.pid)
    return replace(ProcessIdentity.of_this_process(), mark=None)


def begins_with(run: dg.DagsterRun, phase: Phase) -> bool:
    """Whether that stage is the run's first: a run that goes on after a failure may begin in any."""
    if phase is STAGES[0]:
        return True
    steps = {step.rpartition(".")[2] for step in run.step_keys_to_execute or STAGES}
    return steps.isdisjoint(STAGES[: STAGES.index(phase)])


def _execution(run: dg.DagsterRun) -> Mapping[str, Any]:
    """What run config says to the executor."""
    found: object = run.run_config
    for name in ("execution", "config"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
