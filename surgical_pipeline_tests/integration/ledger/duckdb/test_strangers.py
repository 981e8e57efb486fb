"""Programs that have the file open and know nothing of the lock: shells, notebooks, DBeaver, Metabase."""

import logging

import pytest

from surgical_pipeline.ledger.duckdb import file as ledger_file
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LockTimeoutError
from surgical_pipeline_tests.integration.ledger.examples import start
from surgical_pipeline_tests.integration.ledger.processes import beside, let_go_in


def test_waiting_for_a_program_is_waiting_and_not_holding(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")
    before = ledger.stats
    with beside("hold_shell", ledger.path) as shell:
        let_go_in(2.0, shell)
        with ledger.read():
            pass
    window = ledger.stats - before
    assert window.windows == 1
    assert window.wait_ms > 1000  # of two seconds, some pass before the window is asked for
    assert window.held_ms < 1000


def test_the_log_says_who_has_the_file_and_when_it_goes_on(
    ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start(ledger, "run-1")
    monkeypatch.setattr(ledger_file, "_TELL_AFTER_SECONDS", 0.3)
    with beside("hold_shell", ledger.path) as shell, caplog.at_level(logging.WARNING):
        let_go_in(1.0, shell)
        with ledger.write("wait"):
            pass
        waiting, goes_on = caplog.messages
    assert waiting.startswith(f"waiting for the ledger {ledger.path}, which ")
    assert f"(PID {shell.pid}) has open" in waiting
    assert goes_on.startswith(f"the ledger {ledger.path} is free again, after ")


def test_a_short_wait_is_not_worth_a_line(ledger: DuckDBLedger, caplog: pytest.LogCaptureFixture) -> None:
    start(ledger, "run-1")
    with beside("hold_shell", ledger.path) as shell, caplog.at_level(logging.WARNING):
        let_go_in(0.2, shell)
        with ledger.write("wait"):
            pass
    assert caplog.messages == []


def test_past_the_limit_the_error_names_the_program_and_the_wait_is_counted(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")
    impatient = DuckDBLedger(ledger.path, lock_timeout_seconds=1)
    with beside("hold_shell", ledger.path) as shell, pytest.raises(LockTimeoutError) as caught:
        with impatient.write("wait"):
            pytest.fail("the file was open elsewhere")
    assert caught.value.holder is not None
    assert caught.value.holder.endswith(f"(PID {shell.pid})")
    assert caught.value.holder in str(caught.value)
    assert impatient.stats.wait_ms > 500
    assert impatient.stats.held_ms < 500


def test_one_limit_covers_the_lock_and_the_program_that_has_the_file(ledger: DuckDBLedger) -> None:
    """Half of it is spent on a run of ours; the shell gets the other half only."""
    start(ledger, "run-1")
    impatient = DuckDBLedger(ledger.path, lock_timeout_seconds=4)
    with beside("hold_shell", ledger.path), beside("hold_lock", ledger.path) as other:
        let_go_in(2.0, other)
        with pytest.raises(LockTimeoutError) as caught, impatient.write("wait"):
            pytest.fail("the file was open elsewhere")
    assert caught.value.holder is not None
    assert caught.value.waited < 3.8
