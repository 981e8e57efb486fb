"""Targeted re-sync: the same issues with discussions and the three resource events into DuckDB, rows compared.

`python -m benchmarks.peers.targeted [--sizes 10 100 1000] [--latencies 0 20 100] [--rounds 3]`
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fetching import existing_issues, sandbox
from benchmarks.peers import floors, ours, rows
from benchmarks.peers.environments import program
from benchmarks.peers.measuring import Spread, Taken, alternating, measured, must_succeed, spread
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Contest, Floor, Section
from surgical_pipeline.sandbox.control_client import SandboxControl

OURS, DLT, SCRIPT = "ours", "dlt rest_api", "python-gitlab script"
GOAL = 3.0
"""How many times as long dlt should take as our run, at 100 issues and more."""
HEAD = (
    "issues",
    "latency ms",
    "tool",
    "whole command s",
    "run s",
    "fetch and store s",
    "processor s",
    "requests",
    "peak MB",
)


def section(options: Options) -> Section:
    found = Section(
        "Targeted re-sync",
        "The whole command is the process from its start to its end. The run is what happens between Python's "
        "imports and its end: for ours Dagster's run with documents and embeddings, which the others do not make; "
        "fetch and store is that without documents and embeddings. The rows of all three were compared and are "
        "equal. The floor is waiting for the fewest requests, 16 at a time; without latency, a client that asks "
        "for the same and understands nothing.",
        HEAD,
    )
    iids = existing_issues(max(*options.sizes, 20))
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(issues=len(iids)) as (url, token),
        SandboxControl(url) as control,
    ):
        tools = contestants(Path(folder), url=url, token=token, control=control)
        for size in options.sizes:
            for latency in options.latencies:
                control.set_latency(latency)
                rounds = options.rounds_of(size)
                one = {name: bound(tool, iids[:size]) for name, tool in tools.items()}
                floor = floors.seconds_of(iids[:size], latency_ms=latency, url=url, token=token)
                add(found, alternating(one, rounds=rounds), size=size, latency=latency, floor=floor)
                compare(Path(folder), rounds=rounds)
    return found


Tool = Callable[[list[int], int], Taken]


def bound(tool: Tool, iids: list[int]) -> Callable[[int], Taken]:
    return lambda number: must_succeed(tool(iids, number), "a tool")


def contestants(folder: Path, *, url: str, token: str, control: SandboxControl) -> Mapping[str, Tool]:
    """Each writes into a new database for each round: ``<tool>-<round>.duckdb``."""
    gitlab = {"GITLAB_URL": url, "GITLAB_TOKEN": token}
    installation = ours.settle_in(folder / "home", url=url, token=token)

    def of_peer(name: str, command: Sequence[str]) -> Tool:
        def run(iids: list[int], number: int) -> Taken:
            database = fresh(folder, name, number)
            listed = ",".join(map(str, iids))
            return measured(
                [*command, database, ours.PROJECT, listed], cwd=folder, environment=gitlab, control=control
            )

        return run

    def of_ours(iids: list[int], number: int) -> Taken:
        return ours.sync(iids, fresh(folder, OURS, number), environment=installation, control=control)

    return {
        OURS: of_ours,
        DLT: of_peer(DLT, program("dlt_targeted")),
        SCRIPT: of_peer(SCRIPT, program("careful_script")),
    }


def fresh(folder: Path, name: str, number: int) -> Path:
    """A database that does not exist."""
    path = database_of(folder, name, number)
    for left in folder.glob(f"{path.name}*"):
        if left.is_file():
            left.unlink()
    return path


def database_of(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name.replace(' ', '-')}-{number}.duckdb"


def compare(folder: Path, *, rounds: int) -> None:
    readers = {OURS: rows.of_ours, DLT: rows.of_dlt, SCRIPT: rows.of_script}
    for number in range(rounds):
        rows.must_be_equal({name: read(database_of(folder, name, number)) for name, read in readers.items()})


def add(found: Section, taken: Mapping[str, Sequence[Taken]], *, size: int, latency: int, floor: float) -> None:
    where = f"{size:,} issues at {latency} ms"
    for name, rounds in taken.items():
        found.rows.append(
            [
                f"{size:,}",
                str(latency),
                name,
                str(spread(rounds, lambda one: one.seconds)),
                str(spread(rounds, lambda one: one.told["seconds"])),
                str(spread(rounds, lambda one: one.told["fetching_seconds"])) if name == OURS else "as the run",
                str(spread(rounds, lambda one: one.cpu_seconds)),
                str(spread(rounds, lambda one: one.requests)),
                str(spread(rounds, lambda one: one.peak_mb)),
            ]
        )
    mine = Times.of(taken[OURS], own=True)
    for peer in (DLT, SCRIPT):
        theirs = Times.of(taken[peer], own=False)
        goal = GOAL if peer == DLT and size >= 100 else None  # noqa: PLR2004  the issues of the goal
        without = f"without documents and embeddings ours takes {mine.fetching}; {peer} makes neither"
        if goal is not None and theirs.run.median < goal * floor:
            times = theirs.run.median / floor
            without += f"; {peer} takes {times:.1f} times the floor, so the goal is below what any client needs"
        work = f"processor seconds of the whole process: ours {mine.processor}, {peer} {theirs.processor}"
        outside = (
            f"before and after its run ours takes {mine.outside} s, {peer} {theirs.outside}: Dagster's start and "
            f"instance are in it; the run itself takes {mine.run}, of {peer} {theirs.run}"
        )
        found.contests += [
            Contest(f"run of {where}, s", peer, mine.run, theirs.run, goal=goal, why=f"{without}; {work}"),
            Contest(f"fetch and store {where}, s", peer, mine.fetching, theirs.run, why=work),
            Contest(f"whole command, {where}, s", peer, mine.whole, theirs.whole, why=outside),
        ]
    found.floors += [
        Floor(f"{what} {where}, s", seconds, floor)
        for what, seconds in (
            ("fetch and store", mine.fetching),
            ("run of", mine.run),
            ("whole command,", mine.whole),
        )
    ]


@dataclass(frozen=True)
class Times:
    """Seconds. ``outside``: what the process takes before and after its run."""

    whole: Spread
    run: Spread
    fetching: Spread
    outside: Spread
    processor: Spread

    @classmethod
    def of(cls, rounds: Sequence[Taken], *, own: bool) -> "Times":
        return cls(
            spread(rounds, lambda one: one.seconds),
            spread(rounds, lambda one: one.told["seconds"]),
            spread(rounds, lambda one: one.told["fetching_seconds" if own else "seconds"]),
            spread(rounds, lambda one: one.seconds - one.told["seconds"]),
            spread(rounds, lambda one: one.cpu_seconds),
        )


if __name__ == "__main__":
    run_alone(section)
