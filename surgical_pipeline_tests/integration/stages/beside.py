"""A program that tests run as another process on the same ledger: a run up to docs, which embeds nothing."""

import subprocess
import sys
from pathlib import Path

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.stages.stage_run import StageRun
from surgical_pipeline_tests.surroundings import REPOSITORY


def run_beside(scope: str, *, url: str, ledger: DuckDBLedger) -> None:
    """Run it to its end."""
    command = [sys.executable, "-m", __name__, scope, url, str(ledger.path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    StageRun(
        sys.argv[1], url=sys.argv[2], ledger=DuckDBLedger(Path(sys.argv[3])), run_id="run-beside"
    ).up_to_docs()
