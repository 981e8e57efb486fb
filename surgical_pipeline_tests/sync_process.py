"""`surgical-pipeline sync --json` in a process of its own, as a terminal or a script starts it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline_tests.signals import default_signals

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
LIMIT_SECONDS = 90


@dataclass(frozen=True)
class Ended:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> SyncResult:
        """What it printed: one document and nothing else."""
        return SyncResult.model_validate_json(self.stdout)


class SyncProcess:
    """One that goes on; `pid` is the process that works."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> Ended:
        stdout, stderr = self._process.communicate(timeout=LIMIT_SECONDS)
        return Ended(self._process.returncode, stdout, stderr)


@contextmanager
def syncing(scope: str, *options: str, cwd: Path) -> Iterator[SyncProcess]:
    """In this process's environment; killed at the end if it still runs."""
    process = subprocess.Popen(
        [PROGRAM, "sync", scope, "--json", *options],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that started pytest with & has SIGINT ignored, and children would inherit that.
        preexec_fn=default_signals,  # noqa: PLW1509  it calls nothing that takes a lock
    )
    with process:
        try:
            yield SyncProcess(process)
        finally:
            process.kill()
