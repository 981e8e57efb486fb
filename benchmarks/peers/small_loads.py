"""Many one-issue syncs in turn on one database, beside as many loads of dlt: seconds, growth, size of the file.

`python -m benchmarks.peers.small_loads [--loads 200] [--rounds 2]`
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
from benchmarks.peers.results import Contest, Floor, Section
from benchmarks.peers.targeted import DLT, OURS, database_of, fresh

ISSUES = 30
"""They are synced again and again, as events make a sensor do."""
GROUP = 10
EMPTY = "an empty Dagster job"
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
        "Ours are Dagster runs with documents and embeddings; the floor is as many empty Dagster jobs of five "
        "ops. On disk: the database with its log.",
        HEAD,
    )
    iids = existing_issues(150)[:ISSUES]
    loads = [iids[number % len(iids)] for number in range(options.loads)]
    with tempfile.TemporaryDirectory() as folder, sandbox(issues=150) as (url, token):
        home = ours.settle_in(Path(folder) / "home", url=url, token=token)
        tools = contestants(Path(folder), home, loads)
        taken = alternating(tools, rounds=options.fewer_rounds)
        for name, rounds in taken.items():
            first = spread(rounds, lambda one: statistics.median(one.told["each"][:GROUP]))
            last = spread(rounds, lambda one: statistics.median(one.told["each"][-GROUP:]))
            files = [database_of(Path(folder), name, number) for number in range(options.fewer_rounds)]
            size = f"{statistics.median(map(on_disk, files)):.2f}" if name != EMPTY else "-"
            found.rows.append(
                [
                    name,
                    str(len(loads)),
                    str(spread(rounds, lambda one: one.told["seconds"])),
                    str(first),
                    str(last),
                    f"{last.median / first.median:.2f} x",
                    size,
                ]
            )
    seconds = {name: spread(rounds, lambda one: one.told["seconds"]) for name, rounds in taken.items()}
    work = {name: spread(rounds, lambda one: one.cpu_seconds) for name, rounds in taken.items()}
    why = (
        f"as many empty Dagster jobs take {seconds[EMPTY]} s; processor seconds: ours {work[OURS]}, {DLT} "
        f"{work[DLT]}, the empty jobs {work[EMPTY]}"
    )
    what = f"{len(loads)} one-issue loads in turn, s"
    found.contests.append(Contest(what, DLT, seconds[OURS], seconds[DLT], why=why))
    found.floors.append(Floor(what, seconds[OURS], seconds[EMPTY].median))
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

    def of_nothing(_number: int) -> Taken:
        command: list[str | Path] = [sys.executable, "-m", "benchmarks.peers.empty_jobs", str(len(loads))]
        return must_succeed(measured(command, cwd=REPOSITORY, environment=home), EMPTY)

    return {OURS: of_ours, DLT: of_dlt, EMPTY: of_nothing}


def on_disk(path: Path) -> float:
    files = (path, path.with_name(f"{path.name}.wal"))
    return sum(file.stat().st_size for file in files if file.exists()) / 1_000_000


if __name__ == "__main__":
    run_alone(section)
