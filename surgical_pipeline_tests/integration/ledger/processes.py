"""Programs that tests run beside themselves, as other users of the same ledger.

Each says ``ready`` on stdout once it is where the test wants it, and goes on when its stdin is closed.
"""

import itertools
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import duckdb

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.duckdb.lock import locked
from surgical_pipeline.ledger.duckdb.maintenance import compact
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.runs import set_dagster_status
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


def let_go_in(seconds: float, process: Popen[str]) -> None:
    """Let the program go on after a while, and go on here at once."""
    assert process.stdin is not None
    threading.Timer(seconds, process.stdin.close).start()


def _pause() -> None:
    print("ready", flush=True)  # noqa: T201  the test reads it
    sys.stdin.read()


def hold_write(ledger: Path) -> None:
    """Keep a write window open that has written something."""
    with DuckDBLedger(ledger).write("hold") as tx:
        upsert_project(tx, "never", PROJECT, at(0))
        _pause()


def hold_read(ledger: Path) -> None:
    with DuckDBLedger(ledger).read():
        _pause()


def hold_shell(ledger: Path) -> None:
    """What a DuckDB shell does: open the file and know nothing of the lock."""
    connection = duckdb.connect(str(ledger))
    _pause()
    connection.close()


def hold_lock(ledger: Path) -> None:
    """Keep the lock, as a run does that works, and leave the file alone."""
    with locked(ledger, exclusive=True, timeout_seconds=20):
        _pause()


def write_often(ledger: Path, name: str, windows: str) -> None:
    """Write that many runs, each in a window of its own."""
    shared = DuckDBLedger(ledger)
    _pause()
    for number in range(int(windows)):
        with shared.write("contend") as tx:
            tx.execute("open_phase", run_id=f"{name}-{number}", phase="ingest", now=at(0))
    assert shared.stats.windows >= int(windows)  # checkpoints are windows, too


def fill_disk(ledger: Path) -> None:
    """Write more than files may hold here, which DuckDB sees as a full disk; expect to be told."""
    shared = DuckDBLedger(ledger)
    start(shared, "run-1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        with shared.write("too much") as tx:
            set_dagster_status(tx, "run-1", "x" * 400_000)
    except LedgerError as error:
        _pause()
        print(error)  # noqa: T201  the test reads it


def shell_meets_window(ledger: Path, read_only: str) -> None:
    """Open the file as a DuckDB shell would, and say what came of it in place of ``ready``."""
    try:
        duckdb.connect(str(ledger), read_only=read_only == "True").close()
    except duckdb.IOException as error:
        print(str(error).replace("\n", " "))  # noqa: T201  the test reads it
    else:
        print("it opened")  # noqa: T201  the test reads it


def hold_reading_shell(ledger: Path) -> None:
    """A shell that was started with ``-readonly``."""
    connection = duckdb.connect(str(ledger), read_only=True)
    _pause()
    connection.close()


def without_rights(ledger: Path) -> None:
    """Try to write and read as a user who is not root, whom rights would not bind; print what each is told."""
    _ = sql.migrations(), sql.queries()  # that user may not be allowed into the folder they are read from
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(65_534, 65_534, 65_534)
        os.setresuid(65_534, 65_534, 65_534)
    for window in (DuckDBLedger(ledger).write("x"), DuckDBLedger(ledger).read()):
        try:
            with window:
                print("it went")  # noqa: T201  the test reads it
        except LedgerError as error:
            print(type(error).__name__, error)  # noqa: T201  the test reads it


def compact_and_die(ledger: Path, step: str) -> None:
    """Compact, and be killed just before that step of ours on the file system (DuckDB's own are not seen)."""
    steps = itertools.count(1)
    seen = {"open", "os.rename", "os.remove", "os.chmod", "os.chown"}

    def die(event: str, arguments: tuple[object, ...]) -> None:
        ours = event in seen and any(str(one).startswith(str(ledger.parent)) for one in arguments)
        if ours and next(steps) == int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    compact(DuckDBLedger(ledger))


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
