"""Where the seconds of a run go: to Dagster's event log, to the rest of Dagster, to the ledger, to each stage.

`python -m benchmarks.shares [--sizes 1 100 1000] [--latencies 0 20] [--rounds 3]`. The runs are in this process,
after one that imports and loads what all need; each writes a ledger of its own, and makes it first. `ledger`: its
windows between the stages. These, what Dagster takes and the stages add up to the whole. `in windows`: how long
stages have the ledger open, a part of their seconds in which dependents goes on fetching. `waiting`: the requests'
latency, 16 at a time, below which no client gets.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fetching import IN_FLIGHT, PROJECT, existing_issues, sandbox
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.control_client import SandboxControl

EVENTS, OTHER, LEDGER, WINDOWS, WAITING, WHOLE = "event log", "Dagster", "ledger", "in windows", "waiting", "whole"
STAGES = [str(phase) for phase in (Phase.PREFLIGHT, Phase.INGEST, Phase.DEPENDENTS, Phase.DOCS, Phase.EMBED)]
SHOWN = (WHOLE, EVENTS, OTHER, LEDGER, *STAGES, WINDOWS, WAITING)

Seconds = defaultdict[str, float]


class Shares:
    """Seconds of the run's own thread by what it does, and of all threads in windows of stages."""

    def __init__(self) -> None:
        self.seconds: Seconds = defaultdict(float)
        self._open: list[float] = []

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """What is counted within is not counted here."""
        if threading.current_thread() is not threading.main_thread():
            began = time.monotonic()
            try:
                yield
            finally:
                self.seconds[WINDOWS] += time.monotonic() - began
            return
        began = time.monotonic()
        self._open.append(0.0)
        try:
            yield
        finally:
            took = time.monotonic() - began
            self.seconds[name] += took - self._open.pop()
            if self._open:
                self._open[-1] += took

    def watch(self) -> None:
        """From now on; the rest of the process is as it was."""
        from dagster._core.storage.event_log.sqlite.sqlite_event_log import (  # noqa: PLC0415  DAGSTER_HOME is set now
            SqliteEventLogStorage,
        )

        from surgical_pipeline.defs.gateways import RunGateways  # noqa: PLC0415
        from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger  # noqa: PLC0415

        self._wrap(SqliteEventLogStorage, "store_event", lambda _storage: EVENTS)
        self._wrap(RunGateways, "run_async", lambda gateways: str(gateways._phase))  # noqa: SLF001
        window = DuckDBLedger._window  # noqa: SLF001

        @contextmanager
        def counted_window(ledger: DuckDBLedger, purpose: str, **how: Any) -> Iterator[Any]:
            with window(ledger, purpose, **how) as opened, self.counted(LEDGER):
                yield opened

        DuckDBLedger._window = counted_window  # type: ignore[assignment]  # noqa: SLF001

    def _wrap(self, kind: type[Any], method: str, name_of: Callable[[Any], str]) -> None:
        original = getattr(kind, method)

        def counted(this: Any, *arguments: Any, **named: Any) -> Any:
            with self.counted(name_of(this)):
                return original(this, *arguments, **named)

        setattr(kind, method, counted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=(1, 100, 1_000), help="issues of a run")
    parser.add_argument("--latencies", type=int, nargs="+", default=(0, 20), help="milliseconds an answer")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    arguments = parser.parse_args()
    iids = existing_issues(max(*arguments.sizes, 20))
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(issues=len(iids)) as (url, token),
        SandboxControl(url) as control,
    ):
        os.environ |= {"DAGSTER_HOME": folder, "GITLAB_URL": url, "GITLAB_TOKEN": token}
        Path(folder, "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        shares = Shares()
        shares.watch()
        one_run(shares, iids[-1:], Path(folder) / "first.duckdb", latency=0)
        print(f"| issues | latency ms | {' | '.join(f'{name}, s' for name in SHOWN)} |")
        print(f"|{'---:|' * (2 + len(SHOWN))}", flush=True)
        for size in arguments.sizes:
            for latency in arguments.latencies:
                control.set_latency(latency)
                path = Path(folder) / f"{size}-{latency}"
                runs = [
                    one_run(shares, iids[:size], path.with_suffix(f".{number}.duckdb"), latency=latency)
                    for number in range(arguments.rounds)
                ]
                median = [statistics.median(run[name] for run in runs) for name in SHOWN]
                print(f"| {size:,} | {latency} | {' | '.join(f'{one:.2f}' for one in median)} |", flush=True)


def one_run(shares: Shares, iids: list[int], ledger: Path, *, latency: int) -> Seconds:
    from benchmarks.sync import run  # noqa: PLC0415  DAGSTER_HOME must be set first

    shares.seconds = defaultdict(float)
    began = time.monotonic()
    result = run(Scope.of(PROJECT, issue_iids=iids), ledger)
    seconds = shares.seconds
    seconds[WHOLE] = time.monotonic() - began
    seconds[OTHER] = seconds[WHOLE] - sum(seconds[name] for name in (EVENTS, LEDGER, *STAGES))
    seconds[WAITING] = result.http.requests * latency / 1000 / IN_FLIGHT
    return seconds


if __name__ == "__main__":
    main()
