"""`sync --only-changed`: what is as the ledger has it costs its share of a batch."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.published_schemas import check_output

pytestmark = pytest.mark.both_ledgers

SCOPE = "acme/rocket#12-14!34"
DISCUSSIONS = "/api/v4/projects/*/issues/12/discussions"


def run(*arguments: str) -> dict[str, Any]:
    """The document that a command prints."""
    done = CliRunner().invoke(app, [*arguments, "--json"])
    check_output([*arguments, "--json"], done.stdout)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def unchanged(result: dict[str, Any]) -> list[str]:
    return [one["entity"] for one in result["entity_outcomes"] if one["unchanged"]]


def test_unchanged_entities_succeed_with_one_request_for_each_batch(sync: Sync, ledger: Ledger) -> None:
    sync(SCOPE)
    result = run("sync", SCOPE, "--only-changed")
    assert (result["completion_status"], len(unchanged(result))) == ("succeeded", 4)
    # The project, the issues, the merge requests.
    assert result["http"]["requests"] == 3
    assert result["counters"]["documents_regenerated"] == result["counters"]["dependents_replaced"] == 0
    assert query(ledger, "SELECT count(*) FROM entity_outcomes WHERE unchanged") == [(4,)]


def test_retry_keeps_the_option_and_repeats_what_failed(sync: Sync, sandbox: RunningSandbox) -> None:
    sync(SCOPE)
    sandbox.control.update_issue(12, title="renamed", bump_updated_at=False)
    sandbox.control.add_fault(DISCUSSIONS, status=500)
    failed = run("sync", SCOPE, "--only-changed", "--entity-timeout-seconds", "1")
    assert (failed["completion_status"], len(unchanged(failed))) == ("succeeded_with_warnings", 3)
    sandbox.control.clear_faults()
    retried = run("retry", failed["run_id"])["result"]
    assert (retried["completion_status"], unchanged(retried)) == ("succeeded", [])
    sandbox.control.clear_requests()
    again = run("sync", "acme/rocket#12", "--only-changed")
    assert unchanged(again) == ["acme/rocket#12"]
