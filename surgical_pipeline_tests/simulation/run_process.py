"""The process of a run: the real ops one after the other, as Dagster's in-process executor calls them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus

from surgical_pipeline.defs.dagster_runs import PARTITION_TAG, config_block, is_cancelled
from surgical_pipeline.defs.gateways import GATEWAYS
from surgical_pipeline.defs.sync import asset
from surgical_pipeline.defs.sync.config import StageConfig, SurgicalSyncConfig
from surgical_pipeline.domain.lifecycle import STAGES, Phase
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline_tests.simulation.dagster_storage import DagsterConnection, DagsterStorage
from surgical_pipeline_tests.simulation.gateways import SimulatedGateways
from surgical_pipeline_tests.simulation.interruptible import can_wait, wait_for
from surgical_pipeline_tests.simulation.processes import Process

_OPS: Mapping[Phase, tuple[dg.OpDefinition, str | None]] = {
    Phase.PREFLIGHT: (asset.preflight, None),
    Phase.INGEST: (asset.ingest, "preflight"),
    Phase.DEPENDENTS: (asset.dependents, "sources"),
    Phase.DOCS: (asset.docs, "sources"),
    Phase.EMBED: (asset.embed, "regenerated"),
}
"""Each stage's op, and the argument that takes what the one before handed on."""


_LOG = logging.getLogger("simulated run")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False
"""Dagster shows it in its UI."""


@dataclass
class _Resources:
    surgical_gateways: SimulatedGateways

    def __post_init__(self) -> None:
        assert hasattr(self, GATEWAYS)


@dataclass
class _Job:
    executor_def: dg.ExecutorDefinition = dg.in_process_executor


@dataclass
class _Context:
    """What our ops ask of their context."""

    run: dg.DagsterRun
    instance: dg.DagsterInstance
    resources: _Resources
    log: logging.Logger = _LOG
    job_def: _Job = field(default_factory=_Job)

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def has_partition_key(self) -> bool:
        return PARTITION_TAG in self.run.tags

    @property
    def partition_key(self) -> str:
        return self.run.tags[PARTITION_TAG]

    def add_output_metadata(self, _metadata: Mapping[str, Any], _output_name: str | None = None, **_: str) -> None:
        """Shown in Dagster's UI, and nowhere here."""


@dataclass
class RunProcess:
    """``checks``: called once the stages are done, as asset checks are."""

    storage: DagsterStorage
    process: Process
    gateways: SimulatedGateways
    run_id: str
    checks: Callable[[str, SimulatedGateways], None]

    def execute(self) -> None:
        """Code of `run_interruptible`: the run from its process's first word to Dagster to its last."""
        connection = DagsterConnection(self.storage, self.process)
        run = self.storage.runs[self.run_id].run
        if is_cancelled(run) or run.is_finished:
            return
        self._pause("tells Dagster that it starts")
        self.storage.set_status(self.run_id, DagsterRunStatus.STARTED)
        try:
            self._stages(connection)
        except dg.DagsterExecutionInterruptedError:
            self._close(cancelled=self._cancelled())
            ended = DagsterRunStatus.CANCELED if self._cancelled() else DagsterRunStatus.FAILURE
            self._pause("tells Dagster that it was interrupted")
            self.storage.set_status(self.run_id, ended)
        except Exception as error:
            self._close(cancelled=self._cancelled())
            self._pause("tells Dagster that it failed")
            self.storage.fail(self.run_id, str(error))
            if not isinstance(error, dg.Failure | LedgerError):
                raise
        else:
            self._close(cancelled=self._cancelled())
            self._pause("tells Dagster that it succeeded")
            self.storage.set_status(self.run_id, DagsterRunStatus.SUCCESS)

    def _stages(self, connection: DagsterConnection) -> None:
        stored = self.storage.runs[self.run_id]
        parent = self.storage.runs.get(stored.run.parent_run_id or "") if stored.goes_on else None
        kept = dict(parent.outputs) if parent else {}
        config = StageConfig(**_ops_config(stored.run))
        handed: Any = None
        for stage in STAGES:
            op, takes = _OPS[stage]
            if stage in kept:
                handed = stored.outputs[stage] = kept[stage]
                continue
            kept.clear()
            context = _Context(stored.run, connection.instance, _Resources(self.gateways))
            body = getattr(op.compute_fn, "decorated_fn")  # noqa: B009  all of ours are decorated
            result = body(context, config, **({} if takes is None else {takes: handed}))
            handed = result[-1] if isinstance(result, tuple) else result
            self._pause(f"stores what {stage} handed on")
            if stage is not Phase.EMBED:
                stored.outputs[stage] = handed
            step = f"surgical_sync.{stage}"
            self.storage.log(self.run_id, DagsterEventType.STEP_SUCCESS, step=step)
        self.checks(self.run_id, self.gateways)

    def _cancelled(self) -> bool:
        return is_cancelled(self.storage.runs[self.run_id].run)

    def _close(self, *, cancelled: bool) -> None:
        self.process.must_live()
        self.gateways.close(cancelled=cancelled)

    def _pause(self, what: str) -> None:
        if can_wait():
            wait_for(self.process.pause(what))


def _ops_config(run: dg.DagsterRun) -> dict[str, Any]:
    """What the graph's config mapping makes of the run's block, as in `to_ops`."""
    block = SurgicalSyncConfig(**config_block(run))
    scope = block.asked()
    kept = {
        name: value
        for name, value in config_block(run).items()
        if name not in {"project", "issue_iids", "mr_iids", "scope"}
    }
    return {"scope": str(scope) if scope else "", **kept}
