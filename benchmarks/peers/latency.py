"""What a person waits for: one issue from launch to success beside an empty job, and commands that only read.

`python -m benchmarks.peers.latency [--rounds 3]`: whole processes, taking turns.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.fetching import existing_issues, sandbox
from benchmarks.peers import ours
from benchmarks.peers.environments import BIN
from benchmarks.peers.measuring import Taken, alternating, measured, must_succeed, spread
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Floor, Section
from benchmarks.sync import EMPTY_JOB

HEAD = ("process", "seconds", "processor s", "peak MB")
PROGRAM = str(BIN / "surgical-pipeline")
PYTHON, DAGSTER = "`python -c pass`", "`python -c 'import dagster'`"
DUCKDB, MODEL = "`python -c 'import duckdb'`", "`python -c 'import duckdb, numpy, tokenizers'`"
EMPTY, SYNC = "an empty job of five ops, `dagster job execute`", "`sync` of one issue"
LOCATION = "import of the code location"
LIST, SEARCH, DOCTOR = "`runs list`", "`search`", "`doctor`"


def section(options: Options) -> Section:
    found = Section(
        "Latency",
        "Whole processes on an installation with a hundred issues. The floor of a sync is the empty job, that of "
        "the code location and of `doctor` is `import dagster`, that of what reads the ledger is importing what "
        "it cannot do without, that of `--help` is Python.",
        HEAD,
    )
    with tempfile.TemporaryDirectory() as folder, sandbox(issues=150) as (url, token):
        home = Path(folder) / "home"
        environment = ours.settle_in(home, url=url, token=token)
        environment["SURGICAL_LEDGER"] = str(home / "ledger.duckdb")
        scope = ours.scope_of(existing_issues(150)[:100])
        must_succeed(measured([*ours.SYNC, scope, "--json"], cwd=home, environment=environment), "the sync")
        (home / "empty_job.py").write_text(EMPTY_JOB, encoding="utf-8")
        processes = {
            name: _bound(command, home, environment) for name, command in commands(home, environment).items()
        }
        taken = alternating(processes, rounds=options.rounds)
    for name, rounds in taken.items():
        found.rows.append(
            [
                name,
                str(spread(rounds, lambda one: one.seconds)),
                str(spread(rounds, lambda one: one.cpu_seconds)),
                str(spread(rounds, lambda one: one.peak_mb)),
            ]
        )
    medians = {name: spread(rounds, lambda one: one.seconds) for name, rounds in taken.items()}
    floors = {SYNC: EMPTY, LOCATION: DAGSTER, LIST: DUCKDB, SEARCH: MODEL, DOCTOR: DAGSTER}
    found.floors += [
        Floor(f"{name}, s", seconds, medians[floors.get(name, PYTHON)].median)
        for name, seconds in medians.items()
        if name not in (PYTHON, DAGSTER, DUCKDB, MODEL, EMPTY)
    ]
    return found


def commands(home: Path, environment: dict[str, str]) -> dict[str, Sequence[str]]:
    del environment
    return {
        PYTHON: [sys.executable, "-c", "pass"],
        DAGSTER: [sys.executable, "-c", "import dagster"],
        DUCKDB: [sys.executable, "-c", "import duckdb"],
        MODEL: [sys.executable, "-c", "import duckdb, numpy, tokenizers"],
        LOCATION: [sys.executable, "-c", "import surgical_pipeline.definitions"],
        EMPTY: [str(BIN / "dagster"), "job", "execute", "-f", str(home / "empty_job.py"), "-j", "empty"],
        SYNC: [PROGRAM, "sync", f"{ours.PROJECT}#12", "--json"],
        "`--help`": [PROGRAM, "--help"],
        LIST: [PROGRAM, "runs", "list", "--json"],
        SEARCH: [PROGRAM, "search", "valve", "--json"],
        DOCTOR: [PROGRAM, "doctor", "--json"],
    }


def _bound(command: Sequence[str], home: Path, environment: dict[str, str]) -> Callable[[int], Taken]:
    return lambda _number: must_succeed(measured(command, cwd=home, environment=environment), command[-1])


if __name__ == "__main__":
    run_alone(section)
