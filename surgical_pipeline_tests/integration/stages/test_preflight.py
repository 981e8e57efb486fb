from typing import Any
from urllib.parse import unquote

import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.failures import FailureCode, StageFailedError
from surgical_pipeline.domain.handover import PreflightResult
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Start
from surgical_pipeline_tests.integration.stages.stage_run import ISSUES, MERGE_REQUESTS, issue, merge_request


def paths(sandbox: RunningSandbox) -> list[str]:
    return [request.path for request in sandbox.control.requests().requests]


def failures(result: PreflightResult) -> list[tuple[EntityKey, FailureCode]]:
    return [(one.key, one.failure.code) for one in result.failures]


def test_one_request_brings_all_issues_and_one_all_merge_requests(start: Start, sandbox: RunningSandbox) -> None:
    result = start("acme/rocket#12-14!34+35").preflight()
    assert result.fetched == (issue(12), issue(13), issue(14), merge_request(34), merge_request(35))
    assert not result.missing
    assert not result.failures
    first, *batches = paths(sandbox)
    assert first == "/api/v4/projects/acme%2Frocket"
    assert sorted(batches) == [ISSUES, MERGE_REQUESTS]


def test_a_batch_names_at_most_a_hundred_iids(start: Start, sandbox: RunningSandbox) -> None:
    result = start("acme/rocket#1-105").preflight()
    lists = [one.query for one in sandbox.control.requests().requests if one.path == ISSUES]
    assert sorted(unquote(query).count("iids[]=") for query in lists) == [5, 100]
    assert len(result.fetched) + len(result.missing) == 105


def test_snapshots_hold_every_fetched_entity_with_the_moment_its_fetch_began(start: Start) -> None:
    result = start("acme/rocket#12!34").preflight()
    (batch,) = SnapshotFile(result.snapshots).batches()
    assert {record.key for record in batch} == set(result.fetched)
    assert all(record.project_id == 4201 and record.fetched_at >= result.asked_at for record in batch)


def test_what_a_short_page_leaves_out_is_asked_for_singly(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, leave_out_iids=[13])
    result = start("acme/rocket#12-14").preflight()
    assert result.fetched == (issue(12), issue(13), issue(14))
    assert paths(sandbox)[2:] == [f"{ISSUES}/13"]


def test_an_iid_that_neither_the_list_nor_the_single_answer_gives_is_missing(start: Start) -> None:
    result = start("acme/rocket#12+9999").preflight()
    assert (result.fetched, result.missing) == ((issue(12),), (issue(9999),))


def test_a_confidential_issue_is_missing_for_a_token_that_may_not_see_it(
    start: Start, sandbox: RunningSandbox
) -> None:
    assert start("acme/rocket#12+46").preflight().fetched == (issue(12), issue(46))
    assert start("acme/rocket#12+46", token=sandbox.guest_token).preflight().missing == (issue(46),)


def test_the_same_row_twice_counts_once(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, append={})
    result = start("acme/rocket#12-14").preflight()
    assert result.fetched == (issue(12), issue(13), issue(14))
    assert not result.failures


def test_two_rows_with_one_iid_fail_that_entity_alone(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, append={"iid": 12, "id": 1})
    result = start("acme/rocket#12+13").preflight()
    assert result.fetched == (issue(13),)
    assert failures(result) == [(issue(12), FailureCode.INVALID_PAYLOAD)]


def test_a_payload_without_its_key_columns_fails_that_entity_alone(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, leave_out_iids=[13])
    sandbox.control.add_fault(f"{ISSUES}/13", override={"updated_at": "yesterday"})
    result = start("acme/rocket#12+13").preflight()
    assert result.fetched == (issue(12),)
    assert failures(result) == [(issue(13), FailureCode.INVALID_PAYLOAD)]


def test_a_500_because_of_one_issue_fails_that_issue_alone(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(f"{ISSUES}*", iid=101, status=500)
    result = start("acme/rocket#1-105!34").preflight()
    assert [(one.key, one.failure.code) for one in result.failures] == [(issue(101), FailureCode.SERVER_ERROR)]
    assert issue(12) in result.fetched
    assert merge_request(34) in result.fetched
    assert len(result.fetched) + len(result.missing) == 105


@pytest.mark.parametrize(
    ("path", "change"),
    [
        pytest.param(ISSUES, {"override": {"project_id": 999}}, id="an issue of another project"),
        pytest.param(ISSUES, {"append": {"iid": 77}, "leave_out_iids": [13]}, id="an issue nobody asked for"),
        pytest.param(MERGE_REQUESTS, {"override": {"target_project_id": 999}}, id="merged into another project"),
    ],
)
def test_an_answer_of_another_project_or_iid_fails_the_run_as_a_mismatch(
    start: Start, sandbox: RunningSandbox, path: str, change: dict[str, Any]
) -> None:
    sandbox.control.add_fault(path, **change)
    with pytest.raises(StageFailedError) as caught:
        start("acme/rocket#12+13!34").preflight()
    assert caught.value.failure.code is FailureCode.PROJECT_MISMATCH


def test_a_mismatch_in_a_single_answer_fails_the_run_too(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, leave_out_iids=[13])
    sandbox.control.add_fault(f"{ISSUES}/13", override={"project_id": 999})
    with pytest.raises(StageFailedError, match="PROJECT_MISMATCH"):
        start("acme/rocket#12+13").preflight()


def test_what_the_budget_leaves_out_is_a_timeout_of_those_entities(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, delay_ms=20_000)
    result = start("acme/rocket#12+13!34").preflight(Budgets(preflight_budget_seconds=1))
    assert result.fetched == (merge_request(34),)
    assert failures(result) == [
        (issue(12), FailureCode.TIMEOUT),
        (issue(13), FailureCode.TIMEOUT),
    ]
    assert {one.failure.stage for one in result.failures} == {"preflight"}


def test_a_wait_beyond_the_budget_is_told_at_once_with_its_stage(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, status=429, headers={"Retry-After": "86400"})
    with pytest.raises(StageFailedError, match="RATE_LIMITED") as caught:
        start("acme/rocket#12+13").preflight(Budgets(preflight_budget_seconds=3600))
    told = [(one.key, one.failure.code, one.failure.stage) for one in caught.value.of_entities]
    assert told == [(issue(iid), FailureCode.RATE_LIMITED, "preflight") for iid in (12, 13)]
    assert paths(sandbox)[1:] == [ISSUES]


def test_a_project_that_does_not_answer_in_time_fails_the_run(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("/api/v4/projects/acme%2Frocket", delay_ms=20_000)
    with pytest.raises(StageFailedError, match="TIMEOUT"):
        start("acme/rocket#12").preflight(Budgets(preflight_budget_seconds=0.3))


@pytest.mark.parametrize(
    ("scope", "token", "code"),
    [
        ("acme/rocket#12", "not-the-token", FailureCode.UNAUTHORIZED),
        ("acme/rocket#12", "sandbox-profile-token", FailureCode.FORBIDDEN),
        ("acme/nowhere#12", "sandbox-token", FailureCode.PROJECT_NOT_FOUND),
    ],
)
def test_a_project_that_may_not_be_read_fails_the_run(
    start: Start, scope: str, token: str, code: FailureCode
) -> None:
    with pytest.raises(StageFailedError) as caught:
        start(scope, token=token).preflight()
    assert caught.value.failure.code is code
    assert caught.value.failure.stage == "preflight"


def test_a_token_that_is_refused_half_way_fails_the_run(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(ISSUES, status=401)
    with pytest.raises(StageFailedError, match="UNAUTHORIZED"):
        start("acme/rocket#12!34").preflight()


def test_preflight_takes_no_lock(start: Start) -> None:
    run = start("acme/rocket#12+9999!34")
    assert run.windows_of(run.preflight) == 0
