"""Every kind of fault really happens on the wire."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from surgical_pipeline.sandbox.control_client import SandboxControl, SandboxControlError
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.contract.sandbox.conftest import client_for

if TYPE_CHECKING:
    from typing import Literal

ISSUE = "/projects/4201/issues/12"


@pytest.mark.parametrize(
    ("status", "content_type", "text"),
    [
        (401, "application/json", '{"message":"401 Unauthorized"}'),
        (403, "application/json", '{"message":"403 Forbidden"}'),
        (404, "application/json", '{"message":"404 Not found"}'),
        (500, "application/json", '{"message":"500 Internal Server Error"}'),
        (502, "text/html", "GitLab is not responding"),
        (503, "text/html", "GitLab is not responding"),
    ],
)
def test_a_status_fault_answers_as_gitlab_does(
    api: httpx.Client, sandbox: RunningSandbox, status: int, content_type: str, text: str
) -> None:
    sandbox.control.add_fault("*/issues/12", status=status)
    answer = api.get(ISSUE)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(content_type)
    assert text in answer.text


def test_throttling_is_plain_text_with_the_headers_of_the_limiter(
    api: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*/issues/12", status=429, headers={"Retry-After": "7"})
    answer = api.get(ISSUE)
    assert answer.status_code == 429
    assert answer.text.strip() == "Retry later"
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["retry-after"] == "7"
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-observed", "ratelimit-reset")
    assert all(answer.headers[name].isdecimal() for name in names)


def test_a_fault_may_bring_its_own_body_and_headers(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12", status=503, body="upgrade", headers={"Content-Type": "text/plain"})
    answer = api.get(ISSUE)
    assert (answer.text, answer.headers["content-type"]) == ("upgrade", "text/plain")


def test_headers_alone_are_added_to_the_real_answer(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*", headers={"RateLimit-Remaining": "1"})
    answer = api.get(ISSUE)
    assert (answer.status_code, answer.json()["iid"], answer.headers["ratelimit-remaining"]) == (200, 12, "1")


def test_a_fault_fires_so_often_as_told_and_is_counted(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12", status=500, times=2, skip=1)
    assert [api.get(ISSUE).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    [fault] = sandbox.control.faults()
    assert fault.fired == 2


def test_a_fault_hits_only_its_method_path_and_query(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12/notes", method="GET", query="page=2", status=500)
    sandbox.control.add_fault("*", method="POST", status=500)
    assert api.get(f"{ISSUE}/notes").status_code == 200
    assert api.get(f"{ISSUE}/notes", params={"page": 2}).status_code == 500
    assert api.get("/projects/4201/issues/13/notes", params={"page": 2}).status_code == 200


def test_faults_end_when_they_are_cleared(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*", status=500)
    sandbox.control.clear_faults()
    assert api.get(ISSUE).status_code == 200
    assert sandbox.control.faults() == []


def test_the_oldest_live_fault_fires_alone(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*", status=500, times=1)
    sandbox.control.add_fault("*", status=503, times=1)
    assert [api.get(ISSUE).status_code for _ in range(3)] == [500, 503, 200]


def test_a_connection_dropped_before_the_headers_gives_no_answer(
    api: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*/issues/12", drop="before_headers", times=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        api.get(ISSUE)
    assert api.get(ISSUE).status_code == 200
    assert [entry.status for entry in sandbox.control.requests().requests] == [None, 200]


@pytest.mark.parametrize("kind", ["drop", "mangle"])
def test_a_connection_dropped_in_the_middle_gives_half_a_body(
    api: httpx.Client, sandbox: RunningSandbox, kind: Literal["drop", "mangle"]
) -> None:
    if kind == "drop":
        sandbox.control.add_fault("*/issues/12", drop="mid_body", times=1)
    else:
        sandbox.control.add_fault("*/issues/12", mangle="truncated", times=1)
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        api.get(ISSUE)
    assert api.get(ISSUE).json()["iid"] == 12


def test_dropping_hangs_up_on_the_request_alone_and_not_on_its_neighbours(sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12", drop="before_headers")
    sandbox.control.add_fault("*/issues/13", delay_ms=150)
    with client_for(sandbox, sandbox.token) as slow, client_for(sandbox, sandbox.token) as dropped:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(slow.get, "/projects/4201/issues/13")
            with pytest.raises(httpx.RemoteProtocolError):
                dropped.get(ISSUE)
        assert answer.result().json()["iid"] == 13


def test_broken_json_arrives_whole_and_cannot_be_read(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12", mangle="broken_json")
    answer = api.get(ISSUE)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_login_page_comes_with_status_200(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12", mangle="html")
    answer = api.get(ISSUE)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "users/sign_in" in answer.text


def test_payload_fields_are_overridden_alone_and_in_lists(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues*", override={"project_id": 99})
    sandbox.control.add_fault("*/merge_requests/34", override={"target_project_id": 98, "iid": 1})
    assert api.get(ISSUE).json()["project_id"] == 99
    listed = api.get("/projects/4201/issues", params={"iids[]": [12, 13]}).json()
    assert [(row["project_id"], row["iid"]) for row in listed] == [(99, 13), (99, 12)]
    change = api.get("/projects/4201/merge_requests/34").json()
    assert (change["target_project_id"], change["iid"], change["project_id"]) == (98, 1, 4201)


def test_a_list_gains_a_row_that_nobody_asked_for_or_loses_one(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues", append={"iid": 77}, times=1)
    sandbox.control.add_fault("*/issues", leave_out_iids=[13], times=1)
    wanted = {"iids[]": [12, 13]}
    first, second, third = (api.get("/projects/4201/issues", params=wanted).json() for _ in range(3))
    assert [row["iid"] for row in first] == [13, 12, 77]
    assert [row["iid"] for row in second] == [12]
    assert [row["iid"] for row in third] == [13, 12]


def test_a_delay_holds_one_answer_back_and_latency_all(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12", delay_ms=120, times=1)
    assert _seconds(api, ISSUE) >= 0.12
    sandbox.control.set_latency(60)
    assert _seconds(api, "/version") >= 0.06
    sandbox.control.set_latency(0)
    assert [round(entry.duration_ms or 0) >= 60 for entry in sandbox.control.requests().requests] == [True, True]


def test_an_answer_is_made_before_the_latency_holds_it_back(api: httpx.Client, sandbox: RunningSandbox) -> None:
    """So what making it takes is within the latency."""
    before = api.get(ISSUE).json()["title"]
    sandbox.control.set_latency(1000)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.get, ISSUE)
        until = time.monotonic() + 10
        while sandbox.control.requests().count < 2:
            assert time.monotonic() < until
        sandbox.control.update_issue(12, title="changed meanwhile")
        assert waiting.result().json()["title"] == before


def _seconds(api: httpx.Client, path: str) -> float:
    start = time.perf_counter()
    assert api.get(path).status_code == 200
    return time.perf_counter() - start


def test_the_log_tells_what_was_asked_and_how_much_at_once(sandbox: RunningSandbox) -> None:
    everybody_waits = threading.Barrier(4)
    sandbox.control.add_fault("*/issues/*", delay_ms=300)

    def ask(iid: int) -> int:
        everybody_waits.wait()
        with client_for(sandbox, sandbox.token) as api:
            return api.get(f"/projects/acme%2Frocket/issues/{iid}?view=full").status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(1, 5))) == {200}
    httpx.get(f"{sandbox.url}/api/v4/version")
    log = sandbox.control.requests()
    assert (log.count, log.max_in_flight) == (5, 4)
    assert {entry.path for entry in log.requests[:4]} == {
        f"/api/v4/projects/acme%2Frocket/issues/{iid}" for iid in range(1, 5)
    }
    assert {(entry.method, entry.query, entry.status) for entry in log.requests[:4]} == {("GET", "view=full", 200)}
    assert [entry.token_in_header for entry in log.requests] == [True] * 4 + [False]
    sandbox.control.clear_requests()
    assert (sandbox.control.requests().count, sandbox.control.requests().max_in_flight) == (0, 0)


def test_a_fault_that_makes_no_sense_is_refused(sandbox: RunningSandbox) -> None:
    answer = httpx.post(f"{sandbox.url}/sandbox/faults", json={"path": "*", "explode": True})
    assert answer.status_code == 422
    with pytest.raises(SandboxControlError, match="no issue 9999"):
        sandbox.control.update_issue(9999, title="x")


def test_a_sandbox_stops_at_once_although_an_answer_is_held_back() -> None:
    with RunningSandbox() as sandbox:
        sandbox.control.add_fault("*", delay_ms=60_000)
        asked = threading.Thread(target=_ask_and_ignore, args=(sandbox,))
        asked.start()
        while sandbox.control.requests().max_in_flight == 0:
            time.sleep(0.005)
        start = time.perf_counter()
    assert time.perf_counter() - start < 1
    asked.join(timeout=5)
    assert not asked.is_alive()
    with SandboxControl(sandbox.url) as control, pytest.raises(httpx.ConnectError):
        control.requests()


def _ask_and_ignore(sandbox: RunningSandbox) -> None:
    with client_for(sandbox, sandbox.token) as api:
        try:
            api.get("/version")
        except httpx.TransportError:
            return
