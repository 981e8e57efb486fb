"""A program that tests run as another process on the same ledger: a run up to docs, which embeds nothing."""

import os
import subprocess
import sys
from pathlib import Path

from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.integration.stages.stage_run import StageRun
from surgical_pipeline_tests.ledger_dump import setting_of
from surgical_pipeline_tests.surroundings import REPOSITORY


def run_beside(scope: str, *, url: str, ledger: Ledger, folder: Path) -> None:
    """Run it to its end."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, scope, url, str(folder)],
        cwd=REPOSITORY,
        env=os.environ | {"SURGICAL_LEDGER": setting_of(ledger), "DAGSTER_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    StageRun(
        sys.argv[1],
        url=sys.argv[2],
        folder=Path(sys.argv[3]),
        ledger=open_ledger(Settings.from_environment()),
        run_id="run-beside",
    ).up_to_docs()
