"""Dagster's daemon for one look at sensors or backfills, in a process of its own, which can be made to die."""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._grpc.server import GrpcServerProcess

LIMIT_SECONDS = 60
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class SensorDaemon:
    """``environment``: of its processes; ``socket``: of the code server that evaluates the sensors."""

    home: Path
    environment: Mapping[str, str]
    socket: str
    server: ForkServerContext

    def look(self, crash_points: Mapping[str, str] | None = None) -> int:
        """One round over the sensors that are due; gives the exit code of the process.

        Args:
            crash_points: by sensor, the point of its tick at which the daemon gets SIGKILL. Dagster's own names.
        """
        flags = {sensor: {point: signal.SIGKILL} for sensor, point in (crash_points or {}).items()}
        return self._begin(_look, flags)

    def look_at_backfills(self, crash_point: str | None = None) -> int:
        """The same for backfills: their runs are made, and ended if they are cancelled; none is executed."""
        return self._begin(_look_at_backfills, {crash_point: signal.SIGKILL} if crash_point else {})

    def _begin(self, target: Callable[..., None], flags: Mapping[str, object]) -> int:
        process = self.server.Process(
            target=target, args=(self.home, dict(self.environment), self.socket, dict(flags))
        )
        process.start()
        process.join(LIMIT_SECONDS)
        assert process.exitcode is not None, f"the daemon hangs after {LIMIT_SECONDS} s"
        return process.exitcode


@contextmanager
def sensor_daemon(
    instance: dg.DagsterInstance, home: Path, environment: Mapping[str, str]
) -> Iterator[SensorDaemon]:
    """Beside it runs the code server, which outlives the daemon; the environment must be that of this process."""
    origin = LoadableTargetOrigin(
        executable_path=sys.executable, module_name="surgical_pipeline.definitions", working_directory=str(home)
    )
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    with GrpcServerProcess(
        instance_ref=instance.get_ref(),
        loadable_target_origin=origin,
        startup_timeout=LIMIT_SECONDS,
        wait_on_exit=True,
        inject_env_vars_from_instance=False,  # an .env in the working directory names another home
    ) as code_server:
        assert code_server.socket is not None
        yield SensorDaemon(home, environment, code_server.socket, server)


def _look(home: Path, environment: Mapping[str, str], socket: str, flags: Mapping[str, Any]) -> None:
    with _workspace(home, environment, socket) as workspace:
        for _ in execute_sensor_iteration(
            workspace, logging.getLogger(__name__), None, None, debug_crash_flags=flags
        ):
            pass


def _look_at_backfills(home: Path, environment: Mapping[str, str], socket: str, flags: Mapping[str, Any]) -> None:
    with _workspace(home, environment, socket) as workspace:
        for error in execute_backfill_iteration(workspace, logging.getLogger(__name__), debug_crash_flags=flags):
            if error is not None:
                sys.exit(str(error))


@contextmanager
def _workspace(home: Path, environment: Mapping[str, str], socket: str) -> Iterator[WorkspaceProcessContext]:
    os.environ |= environment
    target = GrpcServerTarget(
        host="localhost", port=None, socket=socket, location_name="surgical_pipeline.definitions"
    )
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, target) as workspace,
    ):
        yield workspace
