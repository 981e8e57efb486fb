"""The scenario on the control machine, that is below `hosts.alone`; prints its report as JSON."""

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from surgical_pipeline_tests.many_machines.cluster import running_cluster
from surgical_pipeline_tests.many_machines.scenario import Scenario


def main() -> None:
    parser = argparse.ArgumentParser(prog="many_machines", description=__doc__)
    parser.add_argument("folder", type=Path, help="empty; the logs of all machines are in it")
    parser.add_argument("--cut-seconds", type=float, default=20, help="how long a machine has no database")
    chosen = parser.parse_args()
    with running_cluster(chosen.folder) as cluster:
        report = Scenario(
            cluster, cut_seconds=chosen.cut_seconds, say=partial(print, file=sys.stderr, flush=True)
        ).run()
    json.dump(asdict(report), sys.stdout)
    sys.exit(1 if report.violations else 0)


if __name__ == "__main__":
    main()
