"""Seconds for the notes of one issue by their number and by latency, beside what no client can go below.

The floor is 1 + other pages / requests in flight (16) round trips: only the first page tells how many there are.
Beside it the same list without totals, which is read page after page. The sandbox is another process. Medians of
several rounds.
"""

import argparse
import asyncio
import math
import statistics
import time

from benchmarks.fetching import IN_FLIGHT, sandbox
from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.sandbox.control_client import SandboxControl

SIZES = (100, 1_000, 5_000)
LATENCIES_MS = (20, 100)
PROJECT_ID = 4201
ISSUE = EntityKey(EntityType.ISSUE, 20)
HEAD = """\
| notes | latency ms | requests | seconds | page after page s | ÷ floor | ÷ page after page |
|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help=f"notes (default {SIZES})")
    parser.add_argument("--latencies", type=int, nargs="*", default=LATENCIES_MS, help="milliseconds an answer")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with sandbox(issues=20) as (url, token), SandboxControl(url) as control:
        print(HEAD)
        notes = 0
        for size in sorted(arguments.sizes):
            for number in range(notes, size):
                control.add_note(ISSUE.iid, f"Note {number}: the valve closes late, see the telemetry. " * 5)
            notes = size
            for latency in arguments.latencies:
                print(row(control, size=size, latency=latency, rounds=arguments.rounds, url=url, token=token))


def row(control: SandboxControl, *, size: int, latency: int, rounds: int, url: str, token: str) -> str:
    control.set_latency(latency)
    taken = [asyncio.run(fetch(url, token)) for _ in range(rounds)]
    control.add_fault("*/discussions", headers={"X-Total-Pages": "", "X-Total": ""})
    in_turn = [asyncio.run(fetch(url, token)) for _ in range(rounds)]
    control.clear_faults()
    control.set_latency(0)
    seconds, requests = statistics.median(one[0] for one in taken), taken[0][1]
    one_by_one = statistics.median(one[0] for one in in_turn)
    floor = (1 + math.ceil((requests - 1) / IN_FLIGHT)) * latency / 1000
    cells = [f"{size:,}", str(latency), str(requests), f"{seconds:.2f}", f"{one_by_one:.2f}"]
    return f"| {' | '.join([*cells, f'{seconds / floor:.2f}', f'{seconds / one_by_one:.2f}'])} |"


async def fetch(url: str, token: str) -> tuple[float, int]:
    """Seconds and requests for all discussions of the issue, the client's connections not open yet."""
    async with GitLabClient(url, token, max_in_flight=IN_FLIGHT) as client:
        began = time.perf_counter()
        deadline = Deadline.after(120, time.monotonic)
        await client.dependent(PROJECT_ID, ISSUE, dependent=Dependent.DISCUSSIONS, deadline=deadline)
        return time.perf_counter() - began, client.stats.requests


if __name__ == "__main__":
    main()
