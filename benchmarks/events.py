"""Seconds from an edit in GitLab to the vector of its new text, through real processes; and what a tick asks for.

`python -m benchmarks.events [--edits 20]`: once told by hooks, once by polling alone.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from surgical_pipeline.defs.sensors.gitlab_changes import TICK_SECONDS
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.event_chain import EventChain, event_chain

ISSUES = (12, 13, 14, 15)
IDLE_SECONDS = 120


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--edits", type=int, default=20)
    edits = arguments.parse_args().edits
    for way in ("hooks", "polling"):
        with (
            tempfile.TemporaryDirectory() as folder,
            RunningSandbox(build_sample(issues=150)) as sandbox,
            event_chain(Path(folder), sandbox, hooks=way == "hooks", polling=way == "polling") as chain,
        ):
            if way == "polling":
                idle(chain)
            seconds = sorted(changed(chain, number) for number in range(edits))
        print(f"told by {way}: edit to vector, median of {edits}    {statistics.median(seconds):.1f} s")
        print(f"told by {way}: fastest, slowest              {seconds[0]:.1f} s, {seconds[-1]:.1f} s")


def changed(chain: EventChain, number: int) -> float:
    title = f"Edit number {number:03d} of the benchmark"
    started = time.monotonic()
    chain.sandbox.control.update_issue(ISSUES[number % len(ISSUES)], title=title)
    chain.wait_for_vector(title)
    return time.monotonic() - started


def idle(chain: EventChain) -> None:
    """Requests of a project in which nothing happens."""
    time.sleep(TICK_SECONDS + 10)  # what the start asked for
    chain.sandbox.control.clear_requests()
    time.sleep(IDLE_SECONDS)
    asked = [one.path for one in chain.sandbox.control.requests().requests]
    print(f"requests within {IDLE_SECONDS} s of an idle project          {len(asked)}: {sorted(set(asked))}")


if __name__ == "__main__":
    main()
