"""What thousands of small runs take on the disk, and what a prune leaves of it.

`python -m benchmarks.pruning [--runs 2000]`: six real syncs of one or two issues; copies of the first three, 40
days old (`surgical_pipeline_tests/many_runs.py`), because executing so many would take hours; then the command.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from surgical_pipeline.ledger.disk import allocated, count_files
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.event_chain import PROGRAM
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.years import Years, make_years


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=2000)
    count = arguments.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, RunningSandbox() as sandbox:
        years = make_years(Path(folder), sandbox, copies=count)
        show(f"with {count} runs of 40 days ago", years)
        for command in (["prune", "--dry-run"], ["prune"], ["ledger", "compact"], ["ledger", "check"]):
            timed(years, command)
            if "--dry-run" not in command:
                show(f"after {' '.join(command)}", years)


def show(what: str, years: Years) -> None:
    home, ledger = years.home, years.ledger.path
    parts = {name: home / name for name in ("history", "storage")}
    taken = ", ".join(f"{name} {allocated(path) / 1e6:.1f} MB" for name, path in parts.items())
    files = sum(map(count_files, parts.values()))
    ((runs,),) = query(ledger, "SELECT COUNT(*) FROM sync_runs")
    print(f"{what}: {files} files, {taken}, ledger {allocated(ledger) / 1e6:.1f} MB with {runs} runs")


def timed(years: Years, command: list[str]) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(years.home)}
    began = time.monotonic()
    done = subprocess.run(
        [PROGRAM, *command], cwd=years.home, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    print(f"  {' '.join(command)}: {time.monotonic() - began:.1f} s, exit code {done.returncode}")
    sys.stdout.write("".join(f"    {line}\n" for line in done.stdout.splitlines()))


if __name__ == "__main__":
    main()
