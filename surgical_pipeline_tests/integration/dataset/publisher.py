"""A process that publishes, to be killed, and one that reads. Arguments: what to do, the paths, how often."""

import sys
from pathlib import Path

from surgical_pipeline.dataset import open_dataset
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "publish":
        ledger, folder = map(Path, arguments)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            publish(DuckDBLedger(ledger), folder)
    with open_dataset(arguments[0]) as dataset:
        sys.stdout.write(f"{dataset.version}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        sys.stdout.write(f"{len(dataset.issues())}\n")


if __name__ == "__main__":
    main()
