"""A ledger in a DuckDB file and one in PostgreSQL, by how many use it at once: the figures of docs/scale.md.

`python -m benchmarks.scale [--part writers workers one-sync size] [--iids 10000] [--workers 1 2 4]`; `--help` has
more. PostgreSQL is one of its own on this machine, and by default it flushes every commit to the disk, as DuckDB
does. Writers and workers are processes; so is the sandbox, which is one process and answers for all workers: with
many of them, look whether it is what takes the time.

`writers`: windows that write one entity, for some seconds. `workers`: `backfill --local` in so many processes,
each with its share of the issues and its own DAGSTER_HOME. `one-sync`: one-issue syncs, one after the other.
`size`: bytes of a ledger by issue, vectors and indexes included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.fetching import PROJECT, existing_issues, sandbox
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.file import wal_bytes
from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.postgres_server import PostgresServer, postgres_server

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
PARTS = ("writers", "workers", "one-sync", "size")
DURABLE = ("fsync=on", "full_page_writes=on", "synchronous_commit=on")
Wanted = argparse.Namespace


@dataclass(frozen=True, slots=True)
class Store:
    """``address``: what SURGICAL_LEDGER says."""

    name: str
    address: str

    @property
    def bytes(self) -> int:
        if "://" not in self.address:
            path = Path(self.address)
            return path.stat().st_size + wal_bytes(path)
        with psycopg.connect(self.address) as connection:
            found = connection.execute(
                "SELECT SUM(pg_total_relation_size(oid)) FROM pg_class "
                "WHERE relnamespace = 'main'::regnamespace AND relkind = 'r'"
            ).fetchone()
        return int(found[0]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--iids", type=int, default=10_000, help="issues of `workers`")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--writers", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long writers write")
    parser.add_argument("--rounds", type=int, default=20, help="syncs of `one-sync`")
    parser.add_argument("--sized", type=int, default=500, help="issues of `size`")
    parser.add_argument("--chunk", type=int, default=500, help="issues of a run of `workers`")
    parser.add_argument("--latency", type=int, default=20, help="milliseconds an answer")
    parser.add_argument("--settings", nargs="*", default=DURABLE, help="of PostgreSQL, name=value")
    wanted = parser.parse_args()
    measured = {"writers": writers, "workers": workers, "one-sync": one_syncs, "size": sizes}
    with postgres_server() as server, tempfile.TemporaryDirectory() as home:
        # One for all syncs in this process: Dagster keeps its place between them.
        os.environ["DAGSTER_HOME"] = str(dagster_home(Path(home, "home")))
        set_up(server, wanted.settings)
        print(f"PostgreSQL with {', '.join(wanted.settings)}; {os.cpu_count()} cores")
        for part in wanted.part:
            print(f"\n{part}\n")
            measured[part](server, wanted)


def set_up(server: PostgresServer, settings: Sequence[str]) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for name, _, value in (setting.partition("=") for setting in settings):
            connection.execute(
                psycopg.sql.SQL("ALTER SYSTEM SET {} = {}").format(
                    psycopg.sql.Identifier(name), psycopg.sql.Literal(value)
                )
            )
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def stores(server: PostgresServer, folder: Path) -> Iterator[tuple[Store, Store]]:
    """An empty ledger of each kind."""
    with server.temporary() as database:
        yield Store("DuckDB", str(folder / "ledger.duckdb")), Store("PostgreSQL", server.url(database))


def writers(server: PostgresServer, wanted: Wanted) -> None:
    print("| ledger | writers | windows/s | median ms | 99 % ms | most ms |\n|---|---:|---:|---:|---:|---:|")
    for number in wanted.writers:
        with tempfile.TemporaryDirectory() as folder, stores(server, Path(folder)) as both:
            for store in both:
                taken = sorted(written(store, number, wanted.seconds))
                print(
                    f"| {store.name} | {number} | {len(taken) / wanted.seconds:,.0f} "
                    f"| {statistics.median(taken):.1f} | {taken[len(taken) * 99 // 100]:.1f} | {taken[-1]:.0f} |",
                    flush=True,
                )


def written(store: Store, number: int, seconds: float) -> list[float]:
    """Milliseconds of each window of all writers."""
    environment = os.environ | {"SURGICAL_LEDGER": store.address, "DAGSTER_HOME": tempfile.gettempdir()}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.scale_writer", str(one), str(seconds)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in range(1, number + 1)
    ]
    for process in processes:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit("a writer did not start")
    for process in processes:
        if process.stdin is not None:
            process.stdin.write("go\n")
            process.stdin.flush()
    told = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a writer failed")
    return [one for text in told for one in json.loads(text)]


def workers(server: PostgresServer, wanted: Wanted) -> None:
    head = "| ledger | issues | workers | seconds | ms per issue | times as fast as one | failures by the lock |"
    print(f"{head}\n|---|---:|---:|---:|---:|---:|---:|")
    iids = existing_issues(max(wanted.iids, 20))[: wanted.iids]
    first: dict[str, float] = {}
    with slow_sandbox(wanted, issues=len(iids)) as gitlab:
        for number in wanted.workers:
            with tempfile.TemporaryDirectory() as folder, stores(server, Path(folder)) as both:
                for store in both:
                    seconds, failures = backfilled(store, iids, number, gitlab | {"chunk": str(wanted.chunk)})
                    faster = first.setdefault(store.name, seconds * number) / seconds
                    print(
                        f"| {store.name} | {len(iids):,} | {number} | {seconds:.1f} "
                        f"| {seconds / len(iids) * 1000:.1f} | {faster:.2f} | {failures} |",
                        flush=True,
                    )


def backfilled(store: Store, iids: Sequence[int], number: int, given: Mapping[str, str]) -> tuple[float, int]:
    """Seconds until all is done, and how many entities failed because of the ledger's lock."""
    edges = [round(one * len(iids) / number) for one in range(number + 1)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for one, (start, end) in enumerate(pairwise(edges)):
            home = dagster_home(Path(folder, str(one)))
            listed = home / "issues.txt"
            listed.write_text(str(Scope.of(PROJECT, issue_iids=iids[start:end])), encoding="utf-8")
            options = ["--from-file", str(listed), "--local", "--chunk", given["chunk"], "--yes", "--json"]
            processes.append(
                subprocess.Popen(
                    [PROGRAM, "backfill", *options],
                    env=environment_of(store, given) | {"DAGSTER_HOME": str(home)},
                    cwd=home,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
        told = [process.communicate()[0] for process in processes]
    seconds = time.monotonic() - began
    documents: list[dict[str, Any]] = [json.loads(text) for text in told]
    done = sum(document["status"]["progress"]["done"] for document in documents)
    if done != len(iids):
        raise SystemExit(f"{done} of {len(iids)} issues came up to date")
    return seconds, sum(str(document).count("LOCK_TIMEOUT") for document in documents)


def one_syncs(server: PostgresServer, wanted: Wanted) -> None:
    print("| ledger | syncs | run, median ms | most | windows | lock or transaction held, median ms |")
    print("|---|---:|---:|---:|---:|---:|")
    iids = existing_issues(150)[: min(30, wanted.rounds)]
    with (
        slow_sandbox(wanted, issues=150) as gitlab,
        tempfile.TemporaryDirectory() as folder,
        stores(server, Path(folder)) as both,
    ):
        for store in both:
            os.environ |= environment_of(store, gitlab)
            results = [synced(iids[number % len(iids)]) for number in range(wanted.rounds)]
            times = [result.duration_ms or 0 for result in results]
            print(
                f"| {store.name} | {len(results)} | {statistics.median(times):.0f} | {max(times):.0f} "
                f"| {statistics.median(one.lock.windows for one in results):.0f} "
                f"| {statistics.median(one.lock.held_ms for one in results):.1f} |",
                flush=True,
            )


def synced(*iids: int) -> Any:
    """What the ledger says of a sync in this process."""
    from surgical_pipeline.defs.launch import launch  # noqa: PLC0415  DAGSTER_HOME must be set first
    from surgical_pipeline.domain.budgets import Budgets  # noqa: PLC0415
    from surgical_pipeline.domain.dependents import CORE_DEPENDENTS  # noqa: PLC0415
    from surgical_pipeline.ledger.opening import open_ledger  # noqa: PLC0415
    from surgical_pipeline.ledger.runs import load_result  # noqa: PLC0415

    ledger = open_ledger(Settings.from_environment())
    scope = Scope.of(PROJECT, issue_iids=iids)
    run_id = launch(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger)
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    if result is None or result.completion_status != "succeeded":
        raise SystemExit(f"the run did not succeed: {result}")
    return result


def sizes(server: PostgresServer, wanted: Wanted) -> None:
    print("| ledger | issues | bytes empty | bytes | KB per issue |\n|---|---:|---:|---:|---:|")
    iids = existing_issues(max(wanted.sized, 20))[: wanted.sized]
    with (
        sandbox(issues=len(iids)) as (url, token),
        tempfile.TemporaryDirectory() as folder,
        stores(server, Path(folder)) as both,
    ):
        for store in both:
            os.environ |= environment_of(store, {"url": url, "token": token})
            synced(iids[0])
            empty = store.bytes
            synced(*iids)
            print(
                f"| {store.name} | {len(iids)} | {empty:,} | {store.bytes:,} "
                f"| {(store.bytes - empty) / len(iids) / 1000:.1f} |",
                flush=True,
            )


@contextmanager
def slow_sandbox(wanted: Wanted, *, issues: int) -> Iterator[dict[str, str]]:
    with sandbox(issues=issues) as (url, token), SandboxControl(url) as control:
        control.set_latency(wanted.latency)
        yield {"url": url, "token": token}


def dagster_home(folder: Path) -> Path:
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    return folder


def environment_of(store: Store, gitlab: Mapping[str, str]) -> dict[str, str]:
    return os.environ | {
        "SURGICAL_LEDGER": store.address,
        "GITLAB_URL": gitlab["url"],
        "GITLAB_TOKEN": gitlab["token"],
    }


if __name__ == "__main__":
    main()
