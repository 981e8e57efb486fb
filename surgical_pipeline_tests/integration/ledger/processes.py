"""Programs that tests run beside themselves, as other users of the same ledger.

Each says ``ready`` on stdout once it is where the test wants it, and goes on when its stdin is closed.
"""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import duckdb

from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.runs import set_dagster_status
from surgical_pipeline.ledger.windows import Ledger
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, start


@contextmanager
def beside(program: str, ledger: Path, *args: object) -> Iterator[Popen[str]]:
    """The program, once it is ready; killed at the end if it still runs."""
    command = [sys.executable, "-m", __name__, program, str(ledger), *map(str, args)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def let_go(process: Popen[str]) -> None:
    """Let the program go on to its end."""
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0


def _pause() -> None:
    print("ready", flush=True)  # noqa: T201  the test reads it
    sys.stdin.read()


def hold_write(ledger: Path) -> None:
    """Keep a write window open that has written something."""
    with Ledger(ledger).write("hold") as tx:
        upsert_project(tx, "never", PROJECT, at(0))
        _pause()


def hold_read(ledger: Path) -> None:
    with Ledger(ledger).read():
        _pause()


def hold_shell(ledger: Path) -> None:
    """What a DuckDB shell does: open the file and know nothing of the lock."""
    connection = duckdb.connect(str(ledger))
    _pause()
    connection.close()


def write_often(ledger: Path, name: str, windows: str) -> None:
    """Write that many runs, each in a window of its own."""
    shared = Ledger(ledger)
    _pause()
    for number in range(int(windows)):
        with shared.write("contend") as tx:
            tx.execute("open_phase", run_id=f"{name}-{number}", phase="ingest", now=at(0))
    assert shared.stats.windows == int(windows)


def fill_disk(ledger: Path) -> None:
    """Write more than files may hold here, which DuckDB sees as a full disk; expect to be told."""
    shared = Ledger(ledger)
    start(shared, "run-1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        with shared.write("too much") as tx:
            set_dagster_status(tx, "run-1", "x" * 400_000)
    except LedgerError:
        _pause()


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
