"""Targeted re-sync: the same issues with discussions and the three resource events into DuckDB, rows compared.

`python -m benchmarks.peers.targeted [--sizes 10 100 1000] [--latencies 0 20 100] [--rounds 5]`
"""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.fetching import IN_FLIGHT, existing_issues, sandbox
from benchmarks.peers import ours, rows
from benchmarks.peers.environments import program
from benchmarks.peers.measuring import Taken, alternating, measured, must_succeed, spread
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
        "equal.",
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
                add(found, alternating(one, rounds=rounds), size=size, latency=latency)
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


def add(found: Section, taken: Mapping[str, Sequence[Taken]], *, size: int, latency: int) -> None:
    for name, rounds in taken.items():
        fetching = [one for one in rounds if "fetching_seconds" in one.told and name == OURS]
        found.rows.append(
            [
                f"{size:,}",
                str(latency),
                name,
                str(spread(rounds, lambda one: one.seconds)),
                str(spread(rounds, lambda one: one.told["seconds"])),
                str(spread(fetching, lambda one: one.told["fetching_seconds"])) if fetching else "as the run",
                str(spread(rounds, lambda one: one.cpu_seconds)),
                str(spread(rounds, lambda one: one.requests)),
                str(spread(rounds, lambda one: one.peak_mb)),
            ]
        )
    of_ours = taken[OURS]
    for peer in (DLT, SCRIPT):
        goal = GOAL if peer == DLT and size >= 100 else None  # noqa: PLR2004  the issues of the goal
        pairs = {
            "run": ("seconds", goal),
            "fetch and store": ("fetching_seconds", None),
        }
        for what, (key, wanted) in pairs.items():
            mine = spread(of_ours, lambda one, key=key: one.told[key])  # type: ignore[misc]
            theirs = spread(taken[peer], lambda one: one.told["seconds"])
            found.contests.append(
                Contest(f"{what} of {size:,} issues at {latency} ms, s", peer, mine, theirs, goal=wanted)
            )
        whole = spread(of_ours, lambda one: one.seconds)
        theirs = spread(taken[peer], lambda one: one.seconds)
        found.contests.append(Contest(f"whole command, {size:,} issues at {latency} ms, s", peer, whole, theirs))
    if latency:
        floor = (1 + math.ceil(size / 100) + 4 * size) * latency / 1000 / IN_FLIGHT
        mine = spread(of_ours, lambda one: one.told["fetching_seconds"])
        found.floors.append(Floor(f"fetch and store {size:,} issues at {latency} ms, s", mine, floor))


if __name__ == "__main__":
    run_alone(section)
