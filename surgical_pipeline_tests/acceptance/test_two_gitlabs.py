"""One ledger and two GitLabs: production, and staging that was restored from it, with the same ids and times."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.dagster_runs import SYNC_JOB
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.payloads import WEB
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import called
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import content_of, query

pytestmark = pytest.mark.both_ledgers

STAGING = "https://staging.acme.example/git"
SCOPE = "acme/rocket#1!34"


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


@pytest.fixture
def staging() -> Iterator[RunningSandbox]:
    with RunningSandbox(external_url=STAGING) as running:
        yield running


def sync_job() -> dg.JobDefinition:
    return defs.resolve_job_def(SYNC_JOB)


def doctors_word(check: str) -> tuple[int, dict[str, Any]]:
    done = called("doctor", "--json")
    return done.exit_code, next(one for one in json.loads(done.stdout) if one["check"] == check)


def test_another_gitlab_is_refused_in_preflight_until_a_person_says_that_gitlab_has_moved(
    sync: Sync, ledger: Ledger, staging: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sync(SCOPE).completion_status == "succeeded"
    before = content_of(ledger)
    staging.control.update_issue(1, title="Not ours")
    monkeypatch.setenv("GITLAB_URL", staging.url)

    refused = sync(SCOPE)
    assert (refused.completion_status, refused.phase) == ("failed", "preflight")
    assert refused.error is not None
    assert refused.error.code is FailureCode.PROJECT_MISMATCH
    assert WEB in refused.error.message
    assert f"`surgical-pipeline ledger rebase --gitlab {STAGING}`" in refused.error.message
    assert content_of(ledger) == before
    code, finding = doctors_word("ledger's gitlab")
    assert (code, finding["ok"]) == (1, False)
    assert WEB in finding["found"]
    assert STAGING in finding["found"]
    assert "ledger rebase" in finding["what_to_do"]

    done = called("ledger", "rebase", "--gitlab", f"{STAGING}/", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"path": ledger.location, "before": WEB, "after": STAGING}
    assert content_of(ledger) == before
    assert sync(SCOPE).completion_status == "succeeded"
    assert query(ledger, "SELECT title FROM issues") == [("Not ours",)]
    addresses = query(ledger, "SELECT web_url FROM documents WHERE iid IN (1, 34)")
    assert addresses
    assert all(str(url).startswith(f"{STAGING}/acme/rocket/-/") for (url,) in addresses)


def test_one_gitlab_behind_another_address_is_the_same(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, sandbox: RunningSandbox
) -> None:
    assert sync(SCOPE).completion_status == "succeeded"
    with RunningSandbox(prefix="/tunnel") as tunnel:
        assert tunnel.url != sandbox.url
        monkeypatch.setenv("GITLAB_URL", tunnel.url)
        assert sync(SCOPE).completion_status == "succeeded"
        code, finding = doctors_word("ledger's gitlab")
    assert (code, finding["ok"]) == (0, True)
    assert finding["found"] == f"the ledger belongs to {WEB}"


def test_rebase_wants_an_address_and_a_ledger(sync: Sync, ledger: Ledger) -> None:
    assert called("ledger", "rebase", "--gitlab", STAGING).exit_code == 1
    assert not ledger.exists
    sync("acme/rocket#1")
    refused = called("ledger", "rebase", "--gitlab", "gitlab.example.com")
    assert refused.exit_code == 2
    assert "looks like https://gitlab.example.com" in refused.stderr
    done = called("ledger", "rebase", "--gitlab", STAGING)
    assert f"belonged to {WEB}, belongs to {STAGING} now" in done.stdout.replace("\n", " ")


def test_a_project_made_anew_leaves_the_older_one_out_of_search_and_names_it(
    sync: Sync, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    sync("acme/rocket#1")
    kept = query(ledger, "SELECT payload FROM issues")
    new_id = sandbox.control.recreate_project()["id"]
    sandbox.control.create_issue(title="The booster, made anew")

    result = sync("acme/rocket#1")
    assert result.completion_status == "succeeded_with_warnings"
    assert (result.project.id, result.warnings_count) == (new_id, 1)
    (warning,) = result.entity_outcomes[0].warnings
    assert "was project 4201 before" in warning.message
    found = json.loads(called("search", "acme/rocket#1", "--json").stdout)
    assert [(hit["project_id"], hit["title"]) for hit in found] == [(new_id, "The booster, made anew")]
    assert set(kept) < set(query(ledger, "SELECT payload FROM issues"))
    checked = called("ledger", "check", "--json")
    assert checked.exit_code == 0
    (superseded,) = json.loads(checked.stdout)["superseded_projects"]
    assert f"acme/rocket was project 4201 and is project {new_id} now" in superseded
    assert "acme/rocket was project 4201" in called("ledger", "check").stdout


def test_a_re_execution_from_dependents_does_not_fetch_from_another_gitlab(
    sync: Sync,
    ledger: Ledger,
    home: Path,
    sandbox: RunningSandbox,
    staging: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.control.add_fault("/api/v4/projects/4201/issues/1/*", status=401)
    failed = sync("acme/rocket#1")
    assert (failed.completion_status, failed.phase) == ("failed", "dependents")
    before = content_of(ledger)
    monkeypatch.setenv("GITLAB_URL", staging.url)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        again = dg.execute_job(
            dg.reconstructable(sync_job),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, instance),
        )
    told = query(ledger, f"SELECT phase, failure_code FROM sync_runs WHERE run_id = '{again.run_id}'")
    assert told == [("dependents", "PROJECT_MISMATCH")]
    assert [one.path for one in staging.control.requests().requests] == ["/api/v4/projects/4201"]
    assert content_of(ledger) == before
