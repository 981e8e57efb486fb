"""The floor of many small loads: as many empty Dagster jobs of five ops in turn in this process.

`python -m benchmarks.peers.empty_jobs NUMBER` with DAGSTER_HOME. Prints JSON.
"""

import json
import sys
import time
from typing import Any

import dagster as dg

from benchmarks.sync import EMPTY_JOB


def main() -> None:
    made: dict[str, Any] = {}
    exec(EMPTY_JOB, made)  # noqa: S102  our own text, which `dagster job execute` gets as a file elsewhere
    seconds = []
    with dg.DagsterInstance.get() as instance:
        for _ in range(int(sys.argv[1])):
            began = time.monotonic()
            made["empty"].execute_in_process(instance=instance)
            seconds.append(time.monotonic() - began)
    sys.stdout.write(json.dumps({"seconds": sum(seconds), "each": seconds}) + "\n")


if __name__ == "__main__":
    main()
