"""`surgical-pipeline webhook serve` as a process of its own, on a port that it takes itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Self

import httpx

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
SECRET = "the-secret"
OURS = ("SURGICAL_", "GITLAB_", "DAGSTER_")


class ReceiverProcess:
    """Started when it is made, and killed when the `with` block ends if it still runs.

    ``home`` holds its ledger, and its log as ``receiver.log``.
    """

    def __init__(self, home: Path, *arguments: str, **environment: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        own = {"DAGSTER_HOME": str(home), "SURGICAL_WEBHOOK_SECRET": SECRET} | environment
        self.home = home
        with (home / "receiver.log").open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "webhook", "serve", "--port", "0", "--json", *arguments],
                env=inherited | own,
                cwd=home,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        document = _document(self.process.stdout)
        assert document, self.log
        self.url: str = json.loads(document)["url"]

    @property
    def base(self) -> str:
        return self.url.removesuffix("/webhooks/gitlab")

    @property
    def log(self) -> str:
        return (self.home / "receiver.log").read_text(encoding="utf-8")

    def post(self, body: object, *, key: str = "") -> httpx.Response:
        headers = {"X-Gitlab-Token": SECRET} | ({"Idempotency-Key": key} if key else {})
        return httpx.post(self.url, json=body, headers=headers, timeout=20)

    def await_drained(self, *, seconds: float = 60) -> None:
        """Until nothing waits in the spool."""
        end = time.monotonic() + seconds
        while (told := httpx.get(f"{self.base}/readyz", timeout=10).json()).get("waiting") != 0:
            assert time.monotonic() < end, told
            time.sleep(0.1)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, *, by: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end; gives the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(by)
        self.process.wait(30)
        return time.monotonic() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _document(stdout: IO[str]) -> str:
    """The JSON document that it prints when it listens; empty if it ends without one."""
    lines: list[str] = []
    for line in stdout:
        lines.append(line)
        if line == "}\n":
            break
    return "".join(lines)
