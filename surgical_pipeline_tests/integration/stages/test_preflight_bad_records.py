"""One record that GitLab cannot serialize sinks its whole list; preflight brings the others."""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.failures import FailureCode, StageFailedError
from surgical_pipeline.domain.handover import PreflightResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.stages.preflight import run_preflight
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, Request, WireServer
from surgical_pipeline_tests.integration.stages.conftest import Start
from surgical_pipeline_tests.integration.stages.stage_run import issue

PROJECT = "/api/v4/projects/acme%2Frocket"
BY_ID = "/api/v4/projects/7"
ISSUES = f"{BY_ID}/issues"
Bend = Callable[[Request, list[int]], Reply | None]
HTTP_500 = Reply(b"", status=500, content_type=None)


def item(iid: int) -> dict[str, Any]:
    return {
        "id": 100 + iid,
        "iid": iid,
        "project_id": 7,
        "title": "t",
        "state": "opened",
        "updated_at": "2024-01-01T00:00:00Z",
        "description": "d" * 200,
    }


class GitLab:
    """Issues 1 to ``size``; ``bend`` says what becomes of a request for some of them, None: it is answered."""

    def __init__(self, size: int, bend: Bend, **options: Any) -> None:
        self.size, self.bend, self.options = size, bend, options
        self.requests: list[Request] = []
        self.retries = 0
        self.project_fails: Reply | None = None

    def preflight(self, folder: Path, budgets: Budgets | None = None) -> PreflightResult:
        return asyncio.run(self._preflight(folder, budgets or Budgets()))

    async def _preflight(self, folder: Path, budgets: Budgets) -> PreflightResult:
        async with WireServer() as server:
            server.on(PROJECT, Reply({"id": 7, "path_with_namespace": "acme/rocket"}))
            server.on(BY_ID, self.project_fails or Reply({"id": 7, "path_with_namespace": "acme/rocket"}))
            server.answer(ISSUES, self._list)
            for iid in range(1, self.size + 1):
                server.answer(f"{ISSUES}/{iid}", self._single)
            scope = Scope.of("acme/rocket", issue_iids=range(1, self.size + 1))
            retry = RetryPolicy(max_attempts=2, base_seconds=0.0)
            client = GitLabClient(server.url, "a-token", limiter=RateLimiter(), retry=retry, **self.options)
            snapshots = SnapshotFile(folder / f"{time.monotonic_ns()}.jsonl")
            async with client as gitlab:
                try:
                    return await run_preflight(scope, gitlab=gitlab, snapshots=snapshots, budgets=budgets)
                finally:
                    self.requests = server.requests
                    self.retries = gitlab.stats.retries

    def _list(self, request: Request) -> Reply:
        iids = [int(iid) for iid in request.values("iids[]")]
        return self.bend(request, iids) or Reply([item(iid) for iid in iids])

    def _single(self, request: Request) -> Reply:
        iid = int(request.path.rsplit("/", 1)[1])
        return self.bend(request, [iid]) or Reply(item(iid))

    @property
    def extra_requests(self) -> int:
        """Beyond the project and the batches themselves, repeated requests left out."""
        return len(self.requests) - self.retries - 1 - math.ceil(self.size / 100)


def failing(bad: set[int], reply: Reply) -> Bend:
    return lambda _request, iids: reply if bad & set(iids) else None


def failed_iids(result: PreflightResult) -> list[int]:
    return sorted(one.iid for one in result.failures)


def failed_all(preflight: Callable[[], PreflightResult]) -> dict[int, FailureCode]:
    """Why each entity failed in a preflight that ends the run, because nothing could be fetched."""
    with pytest.raises(StageFailedError) as caught:
        preflight()
    return {one.iid: one.failure.code for one in caught.value.of_entities}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_only_the_guilty_fail_and_each_costs_few_requests(tmp_path: Path, data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 100))
    bad = data.draw(st.sets(st.integers(1, size), min_size=1, max_size=min(3, size - 1)))
    gitlab = GitLab(size, failing(bad, HTTP_500))
    result = gitlab.preflight(tmp_path)
    assert failed_iids(result) == sorted(bad)
    assert {one.failure.code for one in result.failures} == {FailureCode.SERVER_ERROR}
    assert len(result.fetched) == size - len(bad)
    assert gitlab.extra_requests <= 2 * math.log2(size) * len(bad)
    assert gitlab.retries <= 1 + len(bad)  # of the whole batch, and of each of the guilty: halves are asked once


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(HTTP_500, FailureCode.SERVER_ERROR, id="500"),
        pytest.param(
            Reply(b"bad gateway", status=502, content_type="text/html"), FailureCode.SERVER_ERROR, id="502"
        ),
        pytest.param(Reply(b'[{"iid": 3'), FailureCode.INVALID_PAYLOAD, id="broken JSON"),
        pytest.param(Reply(b"[" * 50_000), FailureCode.INVALID_PAYLOAD, id="too deep"),
        pytest.param(Reply(b'"' + b"x" * 50_000 + b'"'), FailureCode.INVALID_PAYLOAD, id="too large"),
        pytest.param(
            Reply(b"x", headers={"Content-Encoding": "br"}), FailureCode.INVALID_PAYLOAD, id="another encoding"
        ),
        pytest.param(Reply(b"[]" * 500, cut_after=99), FailureCode.NETWORK_ERROR, id="cut off"),
        pytest.param(Reply(hang_up=True), FailureCode.NETWORK_ERROR, id="hang-up"),
        pytest.param(Reply(hang=True), FailureCode.NETWORK_ERROR, id="no answer in time"),
    ],
)
def test_whatever_one_record_does_to_its_list_the_others_are_fetched(
    tmp_path: Path, reply: Reply, code: FailureCode
) -> None:
    gitlab = GitLab(20, failing({13}, reply), max_answer_bytes=20_000, request_timeout_seconds=0.3)
    result = gitlab.preflight(tmp_path)
    assert [(one.iid, one.failure.code) for one in result.failures] == [(13, code)]
    assert len(result.fetched) == 19


def test_a_list_that_only_together_is_too_large_comes_in_parts(tmp_path: Path) -> None:
    gitlab = GitLab(100, lambda _request, _iids: None, max_answer_bytes=10_000)
    result = gitlab.preflight(tmp_path)
    assert not result.failures
    assert len(result.fetched) == 100


def test_a_record_on_which_gitlab_hangs_leaves_time_for_the_others(tmp_path: Path) -> None:
    """One attempt may take 30 s, which two of them would not leave of the budget."""
    gitlab = GitLab(4, failing({1}, Reply(hang=True)))
    result = gitlab.preflight(tmp_path, Budgets(preflight_budget_seconds=9))
    assert [(one.iid, one.failure.code) for one in result.failures] == [(1, FailureCode.NETWORK_ERROR)]
    assert len(result.fetched) == 3


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply({"message": "403 Forbidden"}, status=403), FailureCode.FORBIDDEN),
        (Reply({"message": "bad request"}, status=400), FailureCode.INVALID_PAYLOAD),
        (
            Reply(b"", status=302, headers={"Location": "https://elsewhere.example/"}, content_type=None),
            FailureCode.INVALID_PAYLOAD,
        ),
        (Reply(b"", status=429, headers={"Retry-After": "9999"}, content_type=None), FailureCode.RATE_LIMITED),
    ],
)
def test_a_refusal_of_a_batch_is_not_asked_for_in_halves(tmp_path: Path, reply: Reply, code: FailureCode) -> None:
    gitlab = GitLab(50, lambda request, _iids: reply if request.path == ISSUES else None)
    assert failed_all(lambda: gitlab.preflight(tmp_path)) == dict.fromkeys(range(1, 51), code)
    assert len(gitlab.requests) == 2


@pytest.mark.parametrize("status", [401, 404])
def test_a_refused_token_or_a_project_that_is_gone_ends_the_run_at_once(tmp_path: Path, status: int) -> None:
    gitlab = GitLab(50, lambda _request, _iids: Reply({"message": "no"}, status=status))
    with pytest.raises(StageFailedError):
        gitlab.preflight(tmp_path)
    assert len(gitlab.requests) == 2


def test_a_server_that_fails_everything_is_not_asked_for_every_record(tmp_path: Path) -> None:
    gitlab = GitLab(100, lambda _request, _iids: HTTP_500)
    gitlab.project_fails = HTTP_500
    failed = failed_all(lambda: gitlab.preflight(tmp_path))
    assert failed == dict.fromkeys(range(1, 101), FailureCode.SERVER_ERROR)
    assert gitlab.extra_requests == 3


def test_lists_that_all_fail_though_the_project_answers_are_given_up_in_time(tmp_path: Path) -> None:
    gitlab = GitLab(100, lambda _request, _iids: HTTP_500)
    failed = failed_all(lambda: gitlab.preflight(tmp_path))
    assert list(failed) == list(range(1, 101))
    assert gitlab.extra_requests < 50


def test_a_server_that_cannot_be_reached_any_more_is_not_asked_in_halves(start: Start) -> None:
    """It went away behind the project's answer."""
    with RunningSandbox() as leaving:
        run = start("acme/rocket#1-50", url=leaving.url)
        leaving.control.add_fault("*/issues", drop="before_headers")
        leaving.control.add_fault("*/projects/4201", drop="before_headers")
        failed = failed_all(run.preflight)
        requests = leaving.control.requests().count
    assert failed == dict.fromkeys(range(1, 51), FailureCode.NETWORK_ERROR)
    assert requests == 1 + 2 + 3  # the project, the batch twice, two halves and the look at the project


def test_a_missing_record_beside_a_bad_one_is_still_a_miss(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues*", iid=13, status=500)
    result = start("acme/rocket#12-14+9998+9999").preflight()
    assert failed_iids(result) == [13]
    assert result.fetched == (issue(12), issue(14))
    assert result.missing == (issue(9998), issue(9999))
