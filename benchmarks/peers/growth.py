"""From a hundred issues to ten thousand: seconds and memory for each, of ours and of the peers.

`python -m benchmarks.peers.growth [--growth 100 1000 10000]`: no latency, so that only the tools' own work counts.
"""

import tempfile
from pathlib import Path

from benchmarks.fetching import existing_issues, sandbox
from benchmarks.peers import floors
from benchmarks.peers.measuring import alternating, spread
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Contest, Floor, Section
from benchmarks.peers.targeted import OURS, bound, contestants
from surgical_pipeline.sandbox.control_client import SandboxControl

HEAD = ("issues", "tool", "whole command s", "ms for each issue", "peak MB", "KB more for each issue")


def section(options: Options) -> Section:
    found = Section(
        "Growth",
        "The targeted re-sync of ever more issues, without latency; the floor is a client that asks for the same "
        "and understands nothing. More for each issue: the peak beyond that of "
        "the smallest size, divided by the issues beyond it.",
        HEAD,
    )
    iids = existing_issues(max(options.growth))
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(issues=len(iids)) as (url, token),
        SandboxControl(url) as control,
    ):
        tools = contestants(Path(folder), url=url, token=token, control=control)
        smallest: dict[str, float] = {}
        for size in options.growth:
            one = {name: bound(tool, iids[:size]) for name, tool in tools.items()}
            taken = alternating(one, rounds=options.rounds_of(size))
            peaks = {name: spread(rounds, lambda one: one.peak_mb) for name, rounds in taken.items()}
            seconds = {name: spread(rounds, lambda one: one.seconds) for name, rounds in taken.items()}
            processor = {name: spread(rounds, lambda one: one.cpu_seconds) for name, rounds in taken.items()}
            for name, peak in peaks.items():
                beyond = size - min(options.growth)
                more = 1024 * (peak.median - smallest.setdefault(name, peak.median))
                found.rows.append(
                    [
                        f"{size:,}",
                        name,
                        str(seconds[name]),
                        f"{1000 * seconds[name].median / size:.1f}",
                        str(peak),
                        f"{more / beyond:.0f}" if beyond else "-",
                    ]
                )
            floor = floors.seconds_of(iids[:size], latency_ms=0, url=url, token=token)
            found.floors.append(Floor(f"whole command, {size:,} issues, s", seconds[OURS], floor))
            for name in tools:
                if name != OURS:
                    why = (
                        f"at {min(options.growth):,} issues ours has {smallest[OURS]:.0f} MB and {name} "
                        f"{smallest[name]:.0f}; ours grew by {peaks[OURS].median - smallest[OURS]:.0f} "
                        f"and {name} by {peaks[name].median - smallest[name]:.0f}"
                    )
                    work = f"processor seconds: ours {processor[OURS]}, {name} {processor[name]}"
                    found.contests += [
                        Contest(f"peak memory, {size:,} issues, MB", name, peaks[OURS], peaks[name], why=why),
                        Contest(f"growth, {size:,} issues, s", name, seconds[OURS], seconds[name], why=work),
                    ]
    return found


if __name__ == "__main__":
    run_alone(section)
