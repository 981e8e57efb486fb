"""`python -m surgical_pipeline_tests.simulation`: many seeds, or one of them line by line."""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context

from surgical_pipeline_tests.postgres_server import PostgresServer, postgres_server
from surgical_pipeline_tests.simulation.runner import Result, a_database, run_seed, run_seeds, shrunk

_AT_ONCE = 5
"""Seeds that a process takes before it says how they went."""


def main() -> int:
    arguments = _arguments()
    with postgres_server() if arguments.ledger == "postgres" else nullcontext() as server:
        if arguments.seed is not None:
            return _replay(arguments.seed, server)
        return _run_many(arguments, server)


def _run_many(arguments: argparse.Namespace, server: PostgresServer | None) -> int:
    began = time.monotonic()
    runs = seeds = 0
    failing: list[Result] = []
    for result in _results(arguments, server):
        seeds += 1
        runs += result.runs
        if result.failure is not None:
            failing.append(result)
            _say(f"seed {result.seed} fails: {result.failure}\n  {_command(result.seed, arguments.ledger)}")
            if len(failing) >= arguments.most_failures:
                break
    minutes = (time.monotonic() - began) / 60
    _say(
        f"{seeds} seeds, {runs} runs in {minutes:.1f} min: {seeds / minutes:.0f} seeds and "
        f"{runs / minutes:.0f} runs a minute; {len(failing) or 'none'} failed"
    )
    return 1 if failing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledger", choices=("duckdb", "postgres"), default="duckdb", help="what it is stored in")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--runs", type=int, help="stop once Dagster has made so many runs")
    parser.add_argument("--processes", type=int, default=1, help="side by side (default 1)")
    parser.add_argument("--most-failures", type=int, default=5, help="stop after so many (default 5)")
    parser.add_argument("--seed", type=int, help="replay this one, line by line, and make it shorter if it fails")
    return parser.parse_args()


def _replay(seed: int, server: PostgresServer | None) -> int:
    with a_database(server) as database:
        result = run_seed(database, seed, on_line=_say)
        if result.failure is None:
            _say(f"seed {seed} holds: {result.runs} runs, trace {result.fingerprint}")
            return 0
        _say(f"seed {seed} fails: {result.failure}\nmaking its {len(result.steps)} steps fewer ...")
        shortest = shrunk(result, partial(run_seed, database, seed))
    _say(f"{len(shortest.steps)} steps are enough:")
    for step in shortest.steps:
        _say(f"  {step}")
    _say(f"they fail: {shortest.failure}")
    return 1


def _results(arguments: argparse.Namespace, server: PostgresServer | None) -> Iterator[Result]:
    runs, most_runs = 0, arguments.runs
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    groups = [seeds[start : start + _AT_ONCE] for start in range(0, len(seeds), _AT_ONCE)]
    if arguments.processes == 1:
        with a_database(server) as database:
            for seed in seeds:
                result = run_seed(database, seed)
                yield result
                runs += result.runs
                if most_runs is not None and runs >= most_runs:
                    return
        return
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for results in pool.map(partial(run_seeds, server=server), groups):
            for result in results:
                yield result
                runs += result.runs
            if most_runs is not None and runs >= most_runs:
                pool.shutdown(cancel_futures=True)
                return


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _command(seed: int, ledger: str) -> str:
    where = "" if ledger == "duckdb" else f" --ledger {ledger}"
    return f"python -m surgical_pipeline_tests.simulation --seed {seed}{where}"


if __name__ == "__main__":
    sys.exit(main())
