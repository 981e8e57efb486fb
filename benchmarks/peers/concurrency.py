"""Many Dagster runs at once on one DuckDB file: ours beside dagster-duckdb's IO manager.

`python -m benchmarks.peers.concurrency [--concurrent 8 32]`: processes that start at once, one issue each.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from benchmarks.fetching import existing_issues, sandbox
from benchmarks.peers import ours
from benchmarks.peers.environments import PROGRAMS, environment
from benchmarks.peers.measuring import Spread, Taken, measured, must_succeed
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Contest, Floor, Section
from benchmarks.peers.targeted import OURS
from surgical_pipeline.sandbox.control_client import SandboxControl

IO_MANAGER = "dagster-duckdb IO manager"
HEAD = (
    "runs at once",
    "tool",
    "failed runs",
    "all done after s",
    "runs a minute that succeeded",
    "issues whose notes are there",
    "waited for the file, longest s",
)
LONGEST_WORDS = 200
Start = Callable[[int], Taken]


def section(options: Options) -> Section:
    found = Section(
        "DuckDB under Dagster",
        "Each run is a process that syncs one issue with discussions and events and stores it in the one file. "
        "Ours stores all of it, with documents and embeddings; the IO manager stores the notes alone, a partition "
        "for each issue. Its runs do not tell how long they waited for the file. The floor is the processor time "
        "of all these processes, shared by all cores.",
        HEAD,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(issues=150) as (url, token),
        SandboxControl(url) as control,
    ):
        home = ours.settle_in(Path(folder) / "home", url=url, token=token)
        for number in options.concurrent:
            iids = existing_issues(150)[:number]
            seconds: dict[str, list[float]] = {OURS: [], IO_MANAGER: []}
            work: dict[str, list[float]] = {OURS: [], IO_MANAGER: []}
            failed: dict[str, list[float]] = {OURS: [], IO_MANAGER: []}
            for turn in range(options.fewer_rounds):
                names = [OURS, IO_MANAGER][:: 1 if turn % 2 == 0 else -1]
                for name in names:
                    path = Path(folder, f"{number}-{turn}-{name.replace(' ', '-')}.duckdb")
                    start = _ours(path, home, control) if name == OURS else _io_manager(path, home, iids)
                    taken, all_done = at_once(start, iids)
                    seconds[name].append(all_done)
                    work[name].append(sum(one.cpu_seconds for one in taken))
                    failed[name].append(sum(one.exit_code != 0 for one in taken))
                    found.rows.append(_row(name, taken, path, number=number, all_done=all_done))
                    found.notes += reasons(name, taken, number)
            found.contests.append(
                Contest(
                    f"{number} runs at once on one file, s",
                    IO_MANAGER,
                    Spread.of(seconds[OURS]),
                    Spread.of(seconds[IO_MANAGER]),
                    why=(
                        f"of its runs {Spread.of(failed[IO_MANAGER])} failed, of ours {Spread.of(failed[OURS])}; "
                        f"processor seconds of all: ours {Spread.of(work[OURS])}, {IO_MANAGER} "
                        f"{Spread.of(work[IO_MANAGER])}, which renders and embeds nothing"
                    ),
                )
            )
            found.floors.append(
                Floor(
                    f"{number} runs at once on one file, s",
                    Spread.of(seconds[OURS]),
                    statistics.median(work[OURS]) / (os.cpu_count() or 1),
                )
            )
    return found


def at_once(start: Start, iids: Sequence[int]) -> tuple[list[Taken], float]:
    began = time.monotonic()
    with ThreadPoolExecutor(len(iids)) as threads:
        taken = list(threads.map(start, iids))
    return taken, time.monotonic() - began


def _ours(path: Path, home: dict[str, str], control: SandboxControl) -> Start:
    del control  # one log for all: requests are not counted here
    command = [*ours.SYNC, "--json"]

    def start(iid: int) -> Taken:
        variables = {**home, "SURGICAL_LEDGER": str(path)}
        return measured([*command, f"{ours.PROJECT}#{iid}"], cwd=path.parent, environment=variables)

    return start


def _io_manager(path: Path, home: dict[str, str], iids: Sequence[int]) -> Start:
    own = path.parent / f"{path.stem}-home"
    own.mkdir()
    (own / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    variables = {
        **home,
        "DAGSTER_HOME": str(own),
        "PEERS_DATABASE": str(path),
        "PEERS_IIDS": ",".join(map(str, iids)),
    }
    command: list[str | Path] = [
        environment("main") / "dagster",
        "asset",
        "materialize",
        "-f",
        PROGRAMS / "io_manager.py",
    ]

    def start(iid: int, **places: str) -> Taken:
        return measured(
            [*command, "--select", "notes", "--partition", str(iid)],
            cwd=path.parent,
            environment={**variables, **places},
        )

    # An installation that has been used before, as ours: making Dagster's storage is no part of it.
    must_succeed(start(iids[0], PEERS_DATABASE=str(own / "first.duckdb")), IO_MANAGER)
    return start


def _row(name: str, taken: Sequence[Taken], path: Path, *, number: int, all_done: float) -> list[str]:
    good = [one for one in taken if one.exit_code == 0]
    waited = [one.told["lock"]["wait_ms"] / 1000 for one in good if "lock" in one.told]
    return [
        str(number),
        name,
        str(len(taken) - len(good)),
        f"{all_done:.1f}",
        f"{60 * len(good) / all_done:.1f}",
        str(issues_in(name, path)),
        f"{max(waited):.2f}, median {statistics.median(waited):.2f}" if waited else "not told",
    ]


def reasons(name: str, taken: Sequence[Taken], number: int) -> list[str]:
    """Why runs failed, each reason once: the last line of each that names an error."""
    found = []
    for one in taken:
        lines = [line.strip() for line in one.stderr.splitlines() if "Error" in line or "Exception" in line]
        if one.exit_code:
            found.append((lines or ["no line that names an error"])[-1][:LONGEST_WORDS])
    return [f"{number} runs, {name}, {found.count(why)} failed: `{why}`" for why in sorted(set(found))]


def issues_in(name: str, path: Path) -> int:
    """How many issues have notes in the file; 0 if there is no such table."""
    query = (
        "SELECT count(DISTINCT noteable_iid) FROM notes"
        if name == OURS
        else "SELECT count(DISTINCT iid) FROM gitlab.notes"
    )
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            ((found,),) = connection.execute(query).fetchall()
    except duckdb.Error:
        return 0
    return int(found)


if __name__ == "__main__":
    run_alone(section)
