"""What `doctor` says of a GitLab that names itself otherwise than GITLAB_URL, and of watched projects."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.inbox import record_deliveries
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import called
from surgical_pipeline_tests.conftest import Sync

EXTERNAL = "https://gitlab.example.com/git"


@pytest.mark.usefixtures("home")
def test_doctor_mentions_the_address_that_gitlabs_links_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with RunningSandbox(external_url=EXTERNAL) as elsewhere:
        monkeypatch.setenv("GITLAB_URL", elsewhere.url)
        done = called("doctor", "--json")
    assert done.exit_code == 0
    gitlab = next(finding for finding in json.loads(done.stdout) if finding["check"] == "gitlab")
    assert gitlab["ok"]
    assert gitlab["found"].endswith(f"its links name {EXTERNAL}, but every request goes to GITLAB_URL")


@pytest.mark.usefixtures("home")
def test_doctor_says_nothing_of_links_that_name_gitlab_url_or_that_it_may_not_see(sandbox: RunningSandbox) -> None:
    assert "links name" not in called("doctor").stdout
    sandbox.control.add_fault("/api/v4/projects", status=403)
    done = called("doctor")
    assert done.exit_code == 0
    assert "links name" not in done.stdout


def findings(check: str) -> list[dict[str, object]]:
    return [one for one in json.loads(called("doctor", "--json").stdout) if one["check"] == check]


@pytest.mark.usefixtures("home")
def test_doctor_names_watched_projects_whose_lists_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings("projects") == []
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/rocket, acme/no-such-project")
    good, bad = findings("projects")
    assert (good["ok"], good["found"]) == (True, "watched: acme/rocket")
    assert not bad["ok"]
    assert str(bad["found"]).startswith("the lists of acme/no-such-project cannot be read: ")


def test_doctor_says_how_well_hooks_do(
    sandbox: RunningSandbox, sync: Sync, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/rocket")
    monkeypatch.setenv("SURGICAL_WEBHOOK_SECRET", "a-secret-of-hooks")
    long_ago = (datetime.now(tz=UTC) - timedelta(minutes=10)).isoformat()
    sandbox.control.update_issue(12, updated_at=long_ago)
    sync("acme/rocket#12")
    refused = DeliveryCounts(refused_secret=7, last_refused_secret_at=datetime.now(tz=UTC))
    with DuckDBLedger(home / "ledger.duckdb").write("inbox") as tx:
        record_deliveries(tx, "receiver", refused)
    told = [str(one["found"]) for one in findings("hooks")]
    assert "in the last 24 hours, hooks told of 0 of 1 changes, none ever came, 7 refused (wrong secret)" in told
