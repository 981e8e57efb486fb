"""Progress of a real sync and of the embedding backlog, on a terminal and in a log."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.defs.launch import launched, run_config
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.progress import Progress
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import PROGRAM, Installation
from surgical_pipeline_tests.acceptance.pseudo_terminal import Shown, on_terminal
from surgical_pipeline_tests.run_watch import FOR_EVER_MS, wait_for_request

pytestmark = pytest.mark.processes

LINE = re.compile(
    r"(preflight|ingest|dependents|docs|embed|embedding) [\d,]+/[\d,]+( documents)?(, [\d,]+ failed)?"
    r"(, [\d,]+ requests/s)?(, about \d+ (s|min|h) left)?"
)


@pytest.fixture
def installation(tmp_path: Path, sandbox: RunningSandbox) -> Installation:
    return Installation.make(tmp_path, sandbox)


def frames(shown: Shown) -> Iterator[str]:
    """What the line said, one after the other."""
    before_the_table = shown.raw.split("\x1b[?25h")[0]
    for part in re.split(r"[\r\n]+", before_the_table):
        if text := re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part).strip():
            yield text


def terminal(
    installation: Installation, *arguments: str, meanwhile: Callable[[int], None] = lambda _pid: None
) -> Shown:
    command = [PROGRAM, *arguments]
    return on_terminal(
        command, environment=installation.environment, folder=installation.home, meanwhile=meanwhile
    )


def test_on_a_terminal_one_line_counts_the_entities_of_each_stage(
    installation: Installation, sandbox: RunningSandbox
) -> None:
    sandbox.control.set_latency(150)
    sandbox.control.add_fault("*/issues/13/discussions", status=403)
    shown = terminal(installation, "sync", "acme/rocket#1-60")
    assert shown.exit_code == 3
    seen = list(frames(shown))
    assert all(frame == "starting" or LINE.fullmatch(frame) for frame in seen), seen
    of_dependents = [frame for frame in seen if frame.startswith("dependents ")]
    assert re.match(r"dependents \d+/5\d", of_dependents[0])
    assert any(", 1 failed, " in frame and "requests/s" in frame for frame in of_dependents), seen
    after = shown.raw.split("\x1b[?25h")[1]
    assert after.startswith("\r\x1b[1A\x1b[2K")
    assert not LINE.search(after)


def test_a_backfill_in_this_process_counts_the_entities_of_each_of_its_runs(
    installation: Installation, sandbox: RunningSandbox
) -> None:
    sandbox.control.set_latency(150)
    chosen = ("backfill", "acme/rocket", "--issues", "12-51", "--chunk", "20", "--local", "--yes")
    shown = terminal(installation, *chosen)
    assert shown.exit_code == 0, shown.text
    seen = [frame for frame in frames(shown) if frame.startswith("run ")]
    assert any(re.match(r"run 1 of 2: dependents \d+/20", frame) for frame in seen), seen
    assert any(re.match(r"run 2 of 2: dependents \d+/20", frame) for frame in seen), seen


def test_ctrl_c_leaves_a_clean_line_and_the_cursor(installation: Installation, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/discussions", delay_ms=FOR_EVER_MS)

    def interrupt(pid: int) -> None:
        wait_for_request(sandbox, "/discussions")
        os.kill(pid, signal.SIGINT)

    shown = terminal(installation, "sync", "acme/rocket#12+13", meanwhile=interrupt)
    assert shown.exit_code == 130
    assert shown.raw.rindex("\x1b[?25h") > shown.raw.rindex("\x1b[?25l")
    line, table = shown.raw.rsplit("\x1b[?25h", 1)
    assert "dependents 0/2" in line
    assert table.startswith("\r\x1b[1A\x1b[2K")
    assert "Traceback" not in shown.text
    assert "cancelled" in shown.text


def test_with_json_stdout_is_one_document_and_a_terminal_shows_no_line(installation: Installation) -> None:
    shown = terminal(installation, "sync", "acme/rocket#12", "--json")
    assert json.loads(shown.text)["completion_status"] == "succeeded"
    assert "\x1b[?25l" not in shown.raw


def test_into_a_pipe_nothing_is_said_of_progress(installation: Installation) -> None:
    done = installation.run("sync", "acme/rocket#12")
    assert done.stderr == ""


def test_the_backlog_counts_documents(installation: Installation) -> None:
    assert installation.run("sync", "acme/rocket#1-60").returncode == 3
    with duckdb.connect(str(installation.ledger)) as connection:
        connection.execute("DELETE FROM embeddings")
    shown = terminal(installation, "embed-backlog")
    assert shown.exit_code == 0
    seen = [frame for frame in frames(shown) if frame != "starting"]
    assert seen
    assert all(re.match(r"embedding [\d,]+/[\d,]+ documents", frame) for frame in seen)


def test_progress_of_each_stage_is_known_in_this_process(
    home: Path, ledger: DuckDBLedger, sandbox: RunningSandbox
) -> None:
    del home
    sandbox.control.add_fault("*/issues/13/discussions", status=403)
    seen: list[Progress] = []
    scope = Scope.parse("acme/rocket#12-14+9999!34")
    config = run_config(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, log_level="CRITICAL")
    with launched(config, ledger=ledger) as run:
        assert run.progress is None

        def look() -> bool:
            if run.progress is not None:
                seen.append(run.progress)
            return False

        run.execute(cancelled=look)
        result = run.result()
    last = {one.phase: (one.done, one.total, one.failed) for one in seen}
    assert last["preflight"] == (5, 5, 1)
    assert last["ingest"] == (5, 5, 1)
    assert last["dependents"] == (4, 4, 1)
    assert last["docs"] == (4, 4, 0)
    regenerated = result.counters.documents_regenerated
    assert last["embed"] == (regenerated, regenerated, 0)
    assert seen[-1].requests == result.http.requests
