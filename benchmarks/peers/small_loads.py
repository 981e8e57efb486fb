"""Many one-issue syncs in turn on one database, beside as many loads of dlt: seconds, growth, size of the file.

`python -m benchmarks.peers.small_loads [--loads 200] [--rounds 3]`
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.fetching import existing_issues, sandbox
from benchmarks.peers import ours
from benchmarks.peers.environments import REPOSITORY, program
from benchmarks.peers.measuring import Taken, alternating, measured, must_succeed, spread
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Contest, Section
from benchmarks.peers.targeted import DLT, OURS, database_of, fresh

ISSUES = 30
"""They are synced again and again, as events make a sensor do."""
GROUP = 10
HEAD = (
    "tool",
    "loads",
    "s for all",
    f"median s of the first {GROUP}",
    f"of the last {GROUP}",
    "growth",
    "MB on disk",
)


def section(options: Options) -> Section:
    found = Section(
        "Small runs",
        f"One-issue syncs in turn, again and again over {ISSUES} issues, in one process and into one database. "
        "Ours are Dagster runs with documents and embeddings. On disk: the database with its log.",
        HEAD,
    )
    iids = existing_issues(150)[:ISSUES]
    loads = [iids[number % len(iids)] for number in range(options.loads)]
    with tempfile.TemporaryDirectory() as folder, sandbox(issues=150) as (url, token):
        home = ours.settle_in(Path(folder) / "home", url=url, token=token)
        tools = contestants(Path(folder), home, loads)
        taken = alternating(tools, rounds=options.rounds)
        for name, rounds in taken.items():
            first = spread(rounds, lambda one: statistics.median(one.told["each"][:GROUP]))
            last = spread(rounds, lambda one: statistics.median(one.told["each"][-GROUP:]))
            sizes = [on_disk(database_of(Path(folder), name, number)) for number in range(options.rounds)]
            found.rows.append(
                [
                    name,
                    str(len(loads)),
                    str(spread(rounds, lambda one: one.told["seconds"])),
                    str(first),
                    str(last),
                    f"{last.median / first.median:.2f} x",
                    f"{statistics.median(sizes):.2f}",
                ]
            )
    what = {"seconds": f"{len(loads)} one-issue loads in turn, s"}
    found.contests += [
        Contest(
            text,
            DLT,
            spread(taken[OURS], lambda one, key=key: one.told[key]),  # type: ignore[misc]
            spread(taken[DLT], lambda one, key=key: one.told[key]),  # type: ignore[misc]
        )
        for key, text in what.items()
    ]
    return found


def contestants(folder: Path, home: dict[str, str], loads: list[int]) -> dict[str, Callable[[int], Taken]]:
    def of_ours(number: int) -> Taken:
        listed = ",".join(map(str, loads))
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "benchmarks.peers.our_loads",
            fresh(folder, OURS, number),
            listed,
        ]
        return must_succeed(measured(command, cwd=REPOSITORY, environment=home), OURS)

    def of_dlt(number: int) -> Taken:
        command: list[str | Path] = [
            *program("dlt_targeted"),
            fresh(folder, DLT, number),
            ours.PROJECT,
            ";".join(map(str, loads)),
        ]
        return must_succeed(measured(command, cwd=folder, environment=home), DLT)

    return {OURS: of_ours, DLT: of_dlt}


def on_disk(path: Path) -> float:
    files = (path, path.with_name(f"{path.name}.wal"))
    return sum(file.stat().st_size for file in files if file.exists()) / 1_000_000


if __name__ == "__main__":
    run_alone(section)
