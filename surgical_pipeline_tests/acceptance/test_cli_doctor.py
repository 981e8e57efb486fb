"""What `doctor` says of a GitLab that names itself otherwise than GITLAB_URL does."""

import json

import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import called

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
