"""Refusals have GitLab's status, body and content type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.contract.sandbox.conftest import client_for

ROCKET = "/projects/acme%2Frocket"
if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"PRIVATE-TOKEN": ""},
        {"PRIVATE-TOKEN": "wrong"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic sandbox-token"},
    ],
)
def test_without_a_known_token_everything_is_unauthorized(
    sandbox: RunningSandbox, headers: Mapping[str, str]
) -> None:
    for path in ("/version", ROCKET, f"{ROCKET}/issues", "/projects/4203"):
        answer = httpx.get(f"{sandbox.url}/api/v4{path}", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"message": "401 Unauthorized"})


def test_a_token_in_the_query_opens_nothing(sandbox: RunningSandbox) -> None:
    answer = httpx.get(f"{sandbox.url}/api/v4/version?private_token={sandbox.token}")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/projects/acme%2Fnothing", 404, {"message": "404 Project Not Found"}),
        ("/projects/4203", 404, {"message": "404 Project Not Found"}),
        ("/projects/4203/issues/1", 404, {"message": "404 Project Not Found"}),
        (f"{ROCKET}/issues/9999", 404, {"message": "404 Not found"}),
        (f"{ROCKET}/issues/7", 404, {"message": "404 Not found"}),
        (f"{ROCKET}/merge_requests/9999/commits", 404, {"message": "404 Not found"}),
        (f"{ROCKET}/issues/12/notes/1", 404, {"message": "404 Note Not Found"}),
        (f"{ROCKET}/issues/twelve", 400, {"error": "issue_iid is invalid"}),
        ("/projects/acme/rocket", 404, {"error": "404 Not Found"}),
        ("/nothing", 404, {"error": "404 Not Found"}),
    ],
)
def test_what_is_not_there_says_so(api: httpx.Client, path: str, status: int, body: object) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (status, body)


def test_a_guest_of_a_private_project_gets_no_merge_requests(guest: httpx.Client) -> None:
    for path in ("/projects/4202/merge_requests", "/projects/4202/merge_requests/1/commits"):
        answer = guest.get(path)
        assert (answer.status_code, answer.json()) == (403, {"message": "403 Forbidden"})


def test_a_renamed_project_redirects_reads_to_its_id(api: httpx.Client, sandbox: RunningSandbox) -> None:
    answer = api.get("/projects/acme%2Frocket-old/issues?iids[]=12&state=all")
    assert answer.status_code == 301
    assert answer.headers["location"] == f"{sandbox.url}/api/v4/projects/4201/issues?iids%5B%5D=12&state=all"
    followed = api.get(answer.headers["location"])
    assert [issue["iid"] for issue in followed.json()] == [12]


def test_a_path_in_other_letters_is_the_same_project(api: httpx.Client) -> None:
    assert api.get("/projects/Acme%2FRocket").json()["id"] == 4201


def test_a_real_rate_limit_counts_down_and_then_throttles() -> None:
    with RunningSandbox(rate_limit=3) as limited, client_for(limited, limited.token) as api:
        answers = [api.get("/version") for _ in range(8)]
    # The minute may turn in between, so two windows of three are the most that can pass.
    assert 3 <= [answer.status_code for answer in answers].count(200) <= 6
    assert answers[0].headers["ratelimit-limit"] == "3"
    assert answers[0].headers["ratelimit-remaining"] == "2"
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.text.strip() == "Retry later"
    assert refused.headers["content-type"].startswith("text/plain")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (refused.headers["ratelimit-remaining"], refused.headers["ratelimit-observed"]) == ("0", "4")
    assert int(refused.headers["ratelimit-reset"]) > 0
