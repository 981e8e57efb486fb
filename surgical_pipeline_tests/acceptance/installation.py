"""The program with a DAGSTER_HOME of its own, started as a person or a script starts it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import typer
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.published_schemas import check_output

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
OURS = ("SURGICAL_", "GITLAB_", "DAGSTER_")
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Installation:
    """A DAGSTER_HOME of its own, which is also the folder that commands are started in."""

    home: Path
    environment: dict[str, str]

    @classmethod
    def make(cls, home: Path, sandbox: RunningSandbox) -> "Installation":
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        own = {"DAGSTER_HOME": str(home), "GITLAB_URL": sandbox.url, "GITLAB_TOKEN": sandbox.token}
        return cls(home, inherited | own)

    @property
    def ledger(self) -> Path:
        return self.home / "ledger.duckdb"

    def run(self, *arguments: str, **environment: str) -> Done:
        done = subprocess.run(
            [PROGRAM, *arguments],
            env=self.environment | environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        check_output(arguments, done.stdout)
        return done


def called(*arguments: str) -> "typer.testing.Result":
    """In this process, where a process of its own would show nothing more."""
    done = CliRunner().invoke(app, arguments)
    check_output(arguments, done.stdout)
    return done
