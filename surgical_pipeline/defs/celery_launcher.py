"""Dagster's launcher of runs as Celery tasks, for runs that themselves tell the ledger that they are alive.

What Celery knows about a task is not whether its run is alive: of a task whose machine is gone it says for ever
that it has started, and of one that it forgot (a broker without persistence was restarted) that it never heard of
it. So only a failure is taken from it, as after a kill of a worker's child. Heartbeats tell the mirror the rest.
"""

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from surgical_pipeline.defs.celery_worker import SETTINGS
from surgical_pipeline.defs.dagster_internals import CheckRunHealthResult, ConfigurableClassData, WorkerStatus


class HeartbeatCeleryRunLauncher(CeleryRunLauncher):
    """`CeleryRunLauncher` with the workers' settings; in dagster.yaml it takes the same config."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        own = {**SETTINGS, **(config_value.get("config_source") or {})}
        return cls(inst_data=inst_data, **{**config_value, "config_source": own})

    @property
    def supports_resume_run(self) -> bool:
        """A run belongs to the process that began it: what is left of it is a run of its own."""
        return False

    def terminate(self, run_id: str) -> bool:
        """False for a run that no worker has: a command line runs it, or it has not reached the broker yet.

        As Dagster's other launchers do, and `CeleryRunLauncher` does not, it says first that the run is cancelled:
        else the signal would end it as failed.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or not _has_task(run):
            return False
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if not _has_task(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "No Celery task runs it.")
        found = super().check_run_worker_health(run)
        if found.status is WorkerStatus.UNKNOWN:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"Its heartbeats tell. {found.msg}")
        return found

    def get_run_worker_debug_info(
        self,
        run: dg.DagsterRun,
        include_container_logs: bool | None = True,  # noqa: FBT002  Dagster's own signature
    ) -> str | None:
        """None for a run without a task, which is asked about as well."""
        return super().get_run_worker_debug_info(run, include_container_logs) if _has_task(run) else None


def _has_task(run: dg.DagsterRun) -> bool:
    return DAGSTER_CELERY_TASK_ID_TAG in run.tags
