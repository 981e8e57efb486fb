"""What everybody does with a ledger, on one of some runs and on one of a million.

`python -m benchmarks.ledger_scale [--runs 1000000] [--documents 200000]`: three real syncs of five issues; a copy
of that ledger in which the last run is there so many times again, each with five outcomes of its own, over four
years, and its first issue so many times, each with document and vector. Then the same uses of both: seconds in the
median of three, and the longest window of all.
"""

import argparse
import contextlib
import logging
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from typer.testing import CliRunner

from benchmarks.sync import run
from surgical_pipeline.cli.main import app
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.search_index import index_documents
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox

ROUNDS = 3
FIRST_IID = 1_000_000
"""No issue of the sandbox has it."""
ISSUES_OF_A_RUN = 5
YEARS_DAYS = 4 * 365
YEARS_MINUTES = YEARS_DAYS * 24 * 60
OLD_DAYS = YEARS_DAYS - 5
"""Of a million runs, 3,400 are older: a prune that comes every few days has no more to do."""
SCOPE = Scope.of("acme/rocket", issue_iids=[12, 13, 14, 15, 16])
ONE_ISSUE = Scope.of("acme/rocket", issue_iids=[12])
IID = f"{FIRST_IID} + ({ISSUES_OF_A_RUN} * copied + place) % greatest($documents, {ISSUES_OF_A_RUN})"
LATER = f"INTERVAL 1 MINUTE * ({YEARS_MINUTES} - copied * {YEARS_MINUTES} // $runs)"
TIMES = ("queued_at", "started_at", "heartbeat_at", "finished_at")
COPIES = {
    "sync_runs": f"""
        INSERT INTO sync_runs SELECT row.* REPLACE (
            'copy-' || copied AS run_id,
            $newest + copied + 1 AS number,
            'acme/rocket#' || least(first, last) || '-' || greatest(first, last) AS scope,
            {", ".join(f"row.{name} - {LATER} AS {name}" for name in TIMES)})
        FROM (
            SELECT copied, {IID.replace("place", "0")} AS first,
                {IID.replace("place", str(ISSUES_OF_A_RUN - 1))} AS last
            FROM range($runs) AS copies(copied)
        ) AS copies
        CROSS JOIN sync_runs AS row WHERE row.run_id = $run_id""",
    "sync_run_phases": """
        INSERT INTO sync_run_phases SELECT row.* REPLACE ('copy-' || copied AS run_id)
        FROM range($runs) AS copies(copied) CROSS JOIN sync_run_phases AS row WHERE row.run_id = $run_id""",
    "entity_outcomes": f"""
        INSERT INTO entity_outcomes SELECT row.* REPLACE (
            'copy-' || copied AS run_id, {IID.replace("place", "(row.iid - 12)")} AS iid)
        FROM range($runs) AS copies(copied) CROSS JOIN entity_outcomes AS row WHERE row.run_id = $run_id""",
    "entities": f"""
        INSERT INTO entities SELECT row.* REPLACE (
            {FIRST_IID} + copied AS iid, {FIRST_IID} * 10 + copied AS gitlab_id)
        FROM range($documents) AS copies(copied)
        CROSS JOIN entities AS row WHERE row.iid = 12 AND row.entity_type = 'issue'""",
    "dependent_fetches": f"""
        INSERT INTO dependent_fetches SELECT row.* REPLACE ({FIRST_IID} + copied AS iid, 0 AS row_count)
        FROM range($documents) AS copies(copied)
        CROSS JOIN dependent_fetches AS row WHERE row.iid = 12 AND row.entity_type = 'issue'""",
    "documents": f"""
        INSERT INTO documents SELECT row.* REPLACE (
            'issue:' || row.project_id || ':' || ({FIRST_IID} + copied) AS document_id,
            {FIRST_IID} + copied AS iid)
        FROM range($documents) AS copies(copied)
        CROSS JOIN documents AS row WHERE row.iid = 12 AND row.kind = 'issue'""",
    "embeddings": f"""
        INSERT INTO embeddings SELECT row.* REPLACE (
            'issue:' || document.project_id || ':' || ({FIRST_IID} + copied) AS document_id)
        FROM range($documents) AS copies(copied)
        CROSS JOIN (SELECT * FROM embeddings WHERE chunk_index = 0) AS row
        JOIN documents AS document USING (document_id)
        WHERE document.iid = 12 AND document.kind = 'issue'""",
}
"""By the table that it fills."""
WINDOW = re.compile(r"window (?P<purpose>.*): waited .* ms, held (?P<held>[\d.]+) ms")
COMMANDS = {
    "runs list": ["runs", "list"],
    "runs show": ["runs", "show", "{run_id}"],
    "runs reconcile": ["runs", "reconcile"],
    "events list": ["events", "list"],
    "backfill list": ["backfill", "list"],
    "search": ["search", "valve pressure telemetry"],
    "doctor": ["doctor"],
    f"prune --dry-run of what is older than {OLD_DAYS} days": [
        "prune",
        "--dry-run",
        "--older-than",
        f"{OLD_DAYS}d",
    ],
    "report": ["report", "--last", "7d", "--html", "{folder}/report.html"],
    "ledger check": ["ledger", "check"],
}


@dataclass(frozen=True)
class Side:
    """One ledger, and the Dagster home that goes with it."""

    folder: Path
    run_id: str

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.duckdb"

    def enter(self) -> None:
        os.environ |= {"DAGSTER_HOME": str(self.folder), "SURGICAL_LEDGER": str(self.ledger)}


@dataclass(frozen=True)
class Taken:
    """``window_ms``, ``purpose``: of the longest window."""

    seconds: float
    window_ms: float
    purpose: str


Use = Callable[[Side], Any]


class Windows(logging.Handler):
    """Every window tells its times to the log."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.held: list[tuple[str, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if told := WINDOW.match(record.getMessage()):
            self.held.append((told["purpose"], float(told["held"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--documents", type=int, default=200_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RunningSandbox(build_sample(issues=150)) as sandbox:
        os.environ |= {
            "GITLAB_URL": sandbox.url,
            "GITLAB_TOKEN": sandbox.token,
            "SURGICAL_PROJECTS": "acme/rocket",
        }
        few = first_runs(Path(folder, "few"))
        many = Side(Path(folder, "many"), few.run_id)
        shutil.copytree(few.folder, many.folder)
        began = time.monotonic()
        fill(many, runs=wanted.runs, documents=wanted.documents)
        print(f"{wanted.runs:,} runs, {wanted.documents:,} documents: {many.ledger.stat().st_size / 1e6:,.0f} MB,")
        print(f"made in {time.monotonic() - began:.0f} s\n")
        print("| use | few runs, s | many, s | ratio | longest window, few, ms | many | which |")
        print("|---|---:|---:|---:|---:|---:|---|", flush=True)
        for name, use in uses().items():
            print(line(name, use, few, many), flush=True)


def first_runs(folder: Path) -> Side:
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    Side(folder, "").enter()
    results = [run(SCOPE, folder / "ledger.duckdb") for _ in range(ROUNDS)]
    return Side(folder, results[-1].run_id)


def fill(side: Side, *, runs: int, documents: int) -> None:
    with duckdb.connect(str(side.ledger)) as connection:
        ((newest,),) = connection.execute("SELECT MAX(number) FROM sync_runs").fetchall()
        values = {"runs": runs, "documents": documents, "run_id": side.run_id, "newest": newest}
        for statement in COPIES.values():
            used = {name: value for name, value in values.items() if re.search(rf"\${name}\b", statement)}
            connection.execute(statement, used)
        found = connection.execute("SELECT document_id FROM documents WHERE iid >= $first", {"first": FIRST_IID})
        ids = [row[0] for row in found.fetchall()]
        for start in range(0, len(ids), 10_000):
            index_documents(DuckDBTransaction(connection, side.ledger, now=utc_now()), ids[start : start + 10_000])
        connection.execute("CHECKPOINT")


def uses() -> dict[str, Use]:
    """What people, sensors and runs do."""
    from surgical_pipeline.definitions import defs  # noqa: PLC0415  the environment must be set first

    found: dict[str, Use] = {"sync of one issue": lambda side: run(ONE_ISSUE, side.ledger)}
    for sensor in defs.sensors or []:
        found[f"sensor {sensor.name}"] = lambda _side, name=sensor.name: tick(defs, name)  # type: ignore[misc]
    for name, words in COMMANDS.items():
        found[name] = lambda side, words=words: command(side, words)  # type: ignore[misc]
    return found


def tick(defs: dg.Definitions, name: str) -> None:
    sensor = defs.resolve_sensor_def(name)
    with (
        dg.DagsterInstance.get() as instance,
        dg.build_sensor_context(instance=instance, definitions=defs) as context,
    ):
        sensor.evaluate_tick(context)


def command(side: Side, words: list[str]) -> None:
    arguments = [one.format(run_id=side.run_id, folder=side.folder) for one in words]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    if done.exit_code not in (0, 3):
        print(f"<!-- {' '.join(arguments)}: exit code {done.exit_code}: {done.output[-300:]} -->")


def line(name: str, use: Use, few: Side, many: Side) -> str:
    pairs = [(timed(use, few), timed(use, many)) for _ in range(ROUNDS)]
    small, large = (statistics.median(pair[place].seconds for pair in pairs) for place in (0, 1))
    small_window, window = (
        max((pair[place] for pair in pairs), key=lambda one: one.window_ms) for place in (0, 1)
    )
    return (
        f"| {name} | {small:.2f} | {large:.2f} | {large / small:.1f} | {small_window.window_ms:.0f} "
        f"| {window.window_ms:.0f} | {window.purpose} |"
    )


def timed(use: Use, side: Side) -> Taken:
    side.enter()
    with listened() as windows:
        began = time.monotonic()
        use(side)
        seconds = time.monotonic() - began
    purpose, held = max(windows.held, key=lambda one: one[1], default=("", 0.0))
    return Taken(seconds, held, purpose)


@contextlib.contextmanager
def listened() -> Iterator[Windows]:
    log, windows = logging.getLogger("surgical_pipeline.ledger.duckdb.windows"), Windows()
    before = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(windows)
    try:
        yield windows
    finally:
        log.removeHandler(windows)
        log.setLevel(before)


if __name__ == "__main__":
    main()
