"""Run the real job in this process, for the command line: the run is in Dagster's UI like any other."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.config import STAGE_NAMES
from surgical_pipeline.defs.dagster_runs import GRAPH, SYNC_JOB, TRIGGER_TAG
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.scope import Scope

OnStage = Callable[[str, bool], None]
"""Called with a stage's name when it starts (False) and when it has succeeded (True)."""


def launch(
    scope: Scope,
    *,
    budgets: Budgets,
    dependents: Sequence[Dependent],
    log_level: str = "CRITICAL",
    on_stage: OnStage = lambda _stage, _done: None,
    on_created: Callable[[str], None] = lambda _run_id: None,
) -> str:
    """Run `surgical_sync_job` to its end, whichever it is; gives its id. What became of it the ledger tells."""
    job = defs.resolve_job_def(SYNC_JOB)
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(
            job_def=job,
            run_config=run_config(scope, budgets=budgets, dependents=dependents, log_level=log_level),
            tags={TRIGGER_TAG: str(Trigger.CLI)},
        )
        on_created(run.run_id)
        for event in execute_run_iterator(InMemoryJob(job), run, instance):
            stage = (event.step_key or "").rpartition(".")[2]
            if stage in STAGE_NAMES and (event.is_step_start or event.is_step_success):
                on_stage(stage, event.is_step_success)
        return run.run_id


def run_config(
    scope: Scope, *, budgets: Budgets, dependents: Sequence[Dependent], log_level: str
) -> dict[str, Any]:
    """The block that a person would write in the launchpad."""
    return {
        "ops": {
            GRAPH: {
                "config": {
                    "project": scope.project,
                    "issue_iids": list(scope.issue_iids),
                    "mr_iids": list(scope.mr_iids),
                    "dependents": [str(one) for one in dependents],
                    **budgets.model_dump(),
                }
            }
        },
        "loggers": {"console": {"config": {"log_level": log_level}}},
    }
