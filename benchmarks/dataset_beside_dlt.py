"""`dataset.issues()` of a published copy beside dlt's `dataset.issues.df()` of as many issues of the same payload.

`python -m benchmarks.dataset_beside_dlt [--issues 100000]`. dlt is installed into an environment of its own, once.
Both read from a DuckDB file into pandas; each figure is the quickest of three. dlt's frame has the lists (labels,
assignees) in tables of their own, ours in columns.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.dataset import ISSUE, best, filled
from surgical_pipeline.dataset import open_dataset
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline_tests.own_environment import own_environment

REQUIREMENTS = Path(__file__).with_name("dlt-requirements.txt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issues", type=int, default=100_000)
    issues = parser.parse_args().issues
    programs = own_environment("dlt", REQUIREMENTS)
    print("| who | issues | read s | columns | dtypes |")
    print("|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        theirs = beside(programs, issues, Path(folder))
        copies = Path(folder, "copies")
        publish(filled(Path(folder, "ledger.duckdb"), issues), copies, confidential=True)
        with open_dataset(copies) as dataset:
            frame = dataset.issues()
            seconds = best(dataset.issues)
        dtypes = sorted({str(one) for one in frame.dtypes})
    ours: dict[str, Any] = {"rows": len(frame), "read": seconds, "columns": frame.shape[1], "dtypes": dtypes}
    for who, told in (("ours", ours), ("dlt", theirs)):
        kinds = ", ".join(told["dtypes"])
        print(f"| {who} | {told['rows']:,} | {told['read']:.2f} | {told['columns']} | {kinds} |")
    print(f"\nratio dlt / ours: {theirs['read'] / seconds:.2f}")


def beside(programs: Path, issues: int, folder: Path) -> dict[str, Any]:
    payload = folder / "issue.json"
    payload.write_text(json.dumps(ISSUE), encoding="utf-8")
    script = Path(__file__).with_name("dlt_side.py")
    done = subprocess.run(
        [str(programs / "python"), str(script), str(payload), str(issues), str(folder)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


if __name__ == "__main__":
    main()
