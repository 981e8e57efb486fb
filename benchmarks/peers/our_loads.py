"""Our side of many small loads: one-issue syncs in turn in this process, as dlt's loads are.

`python -m benchmarks.peers.our_loads LEDGER IID,IID,...` with the environment of a sync. Prints JSON.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.peers.ours import PROJECT
from benchmarks.sync import run
from surgical_pipeline.domain.scope import Scope


def main() -> None:
    path, iids = Path(sys.argv[1]), [int(iid) for iid in sys.argv[2].split(",")]
    seconds = []
    for iid in iids:
        began = time.monotonic()
        run(Scope.of(PROJECT, issue_iids=[iid]), path)
        seconds.append(time.monotonic() - began)
    sys.stdout.write(json.dumps({"seconds": sum(seconds), "each": seconds}) + "\n")


if __name__ == "__main__":
    main()
