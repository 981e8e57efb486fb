"""Every failure code is reached by a whole run, and the ledger tells it as the code says."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.ledger.duckdb.lock import locked
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.surroundings import REPOSITORY

DISCUSSIONS = "/api/v4/projects/*/issues/13/discussions"
SCOPE = "acme/rocket#12+13"
QUICK = Budgets(entity_timeout_seconds=2)
"""On a busy machine an answer takes half a second."""


@dataclass(frozen=True)
class Trouble:
    """Where a run meets it."""

    control: SandboxControl
    sync: Sync
    setenv: Callable[[str, str], None]
    closed: str
    """An address that refuses connections."""

    def discussions(self, **fault: object) -> SyncResult:
        self.control.add_fault(DISCUSSIONS, **fault)  # type: ignore[arg-type]
        return self.sync(SCOPE, budgets=QUICK)

    def with_environment(self, **variables: str) -> SyncResult:
        for name, value in variables.items():
            self.setenv(name, value)
        return self.sync(SCOPE)

    def project(self, **override: int) -> SyncResult:
        self.control.add_fault("/api/v4/projects/*/issues", override=override)
        return self.sync(SCOPE)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Bound and nobody listens: it refuses connections, and no other test can get it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


HERE: dict[FailureCode, Callable[[Trouble], SyncResult]] = {
    FailureCode.NOT_FOUND: lambda trouble: trouble.sync("acme/rocket#12+9999"),
    FailureCode.FORBIDDEN: lambda trouble: trouble.discussions(status=403),
    FailureCode.UNAUTHORIZED: lambda trouble: trouble.with_environment(GITLAB_TOKEN="glpat-of-nobody"),
    FailureCode.PROJECT_NOT_FOUND: lambda trouble: trouble.sync("acme/no-such-project#1"),
    FailureCode.PROJECT_MISMATCH: lambda trouble: trouble.project(project_id=999),
    FailureCode.INVALID_PAYLOAD: lambda trouble: trouble.discussions(mangle="html"),
    FailureCode.TIMEOUT: lambda trouble: trouble.discussions(delay_ms=30_000),
    # Longer than the run has for an entity, yet short: this process's next run with the same token waits it out.
    FailureCode.RATE_LIMITED: lambda trouble: trouble.discussions(status=429, headers={"Retry-After": "3"}),
    FailureCode.SERVER_ERROR: lambda trouble: trouble.discussions(status=500),
    FailureCode.NETWORK_ERROR: lambda trouble: trouble.with_environment(GITLAB_URL=trouble.closed),
    FailureCode.EMBEDDER_ERROR: lambda trouble: trouble.with_environment(
        SURGICAL_EMBEDDER="http",
        SURGICAL_EMBEDDER_URL=f"{trouble.closed}/v1",
        SURGICAL_EMBEDDER_MODEL="none",
    ),
}
ELSEWHERE = {
    FailureCode.LOCK_TIMEOUT: "acceptance/test_failure_codes.py",  # below: it needs a second process's part
    FailureCode.DOCUMENT_ERROR: "integration/stages/test_docs.py",
    FailureCode.LEDGER_ERROR: "acceptance/test_ledger_care.py",
    FailureCode.WORKER_LOST: "integration/defs/test_mirror.py",
    FailureCode.CANCELLED: "integration/defs/test_mirror.py",
    FailureCode.INTERNAL_ERROR: "integration/defs/sync/test_session.py",
}


@pytest.fixture
def trouble(
    sandbox: RunningSandbox, sync: Sync, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Trouble]:
    yield Trouble(sandbox.control, sync, monkeypatch.setenv, f"http://127.0.0.1:{closed_port}")
    sandbox.control.reset()


@pytest.mark.both_ledgers
@pytest.mark.parametrize("code", HERE, ids=str)
def test_a_run_that_meets_it_says_so(trouble: Trouble, code: FailureCode) -> None:
    result = HERE[code](trouble)
    told = {failure.code: failure for failure in result.entity_failures}
    assert set(told) == {code}
    assert (told[code].retryable, told[code].hint) == (code.retryable, code.advice)
    if result.completion_status == "failed":
        assert result.error is not None
        assert result.error.code is code
    else:
        assert result.completion_status == "succeeded_with_warnings"


def test_a_run_that_cannot_get_the_ledger_in_time_says_so_once_it_can(
    sync: Sync, sandbox: RunningSandbox, ledger: DuckDBLedger, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sync("acme/rocket#14").completion_status == "succeeded"
    monkeypatch.setitem(os.environ, "SURGICAL_LOCK_TIMEOUT_SECONDS", "0.3")
    sandbox.control.clear_requests()

    def hold_the_lock_until_the_stage_gives_up() -> None:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            wait_until(lambda: sandbox.control.requests().count, limit_seconds=30, what="preflight fetches")
            with locked(ledger.path, exclusive=True, timeout_seconds=30):
                (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
                wait_until(
                    lambda: instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE),
                    limit_seconds=30,
                    what="the stage gives up",
                )

    with ThreadPoolExecutor() as threads:
        holder = threads.submit(hold_the_lock_until_the_stage_gives_up)
        result = sync(SCOPE)
        holder.result()
    assert result.completion_status == "failed"
    assert result.error is not None
    assert result.error.code is FailureCode.LOCK_TIMEOUT
    assert [one.failure.code for one in result.entity_outcomes if one.failure] == [FailureCode.LOCK_TIMEOUT] * 2


def test_no_code_is_without_its_run() -> None:
    assert set(HERE) | set(ELSEWHERE) == set(FailureCode)
    for code, path in ELSEWHERE.items():
        text = (REPOSITORY / "surgical_pipeline_tests" / path).read_text(encoding="utf-8")
        assert f"FailureCode.{code.name}" in text or f'"{code.name}"' in text, f"{path} no longer reaches {code}"
