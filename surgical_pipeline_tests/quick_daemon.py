"""Dagster's daemon alone, without a webserver, which looks at backfills every second instead of every 30.

Everything else is Dagster's own: code servers, queue, run monitoring, sensors.
"""

import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from dagster._daemon import controller
from dagster._daemon.cli import main

from surgical_pipeline_tests.dagster_dev import end_tree
from surgical_pipeline_tests.surroundings import REPOSITORY

LOOK_SECONDS = 1


@contextmanager
def running_daemon(
    home: Path, settings: Path = REPOSITORY / "dagster.yaml"
) -> Iterator["subprocess.Popen[bytes]"]:
    """In this process's environment, with those settings in ``home``.

    Its whole process tree is ended afterwards.
    """
    shutil.copy(settings, home / "dagster.yaml")
    command = [sys.executable, "-m", __name__, "run", "-w", str(REPOSITORY / "workspace.yaml")]
    with (home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        end_tree(process)


def kill_daemon(process: "subprocess.Popen[bytes]", *, spared: Collection[int]) -> None:
    """SIGKILL to the daemon and its code servers; the processes of runs, ``spared``, live on."""
    daemon = psutil.Process(process.pid)
    tree = [daemon, *(one for one in daemon.children(recursive=True) if one.pid not in spared)]
    for one in tree:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(tree, timeout=10)
    process.wait(timeout=10)


if __name__ == "__main__":
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = LOOK_SECONDS
    main()
