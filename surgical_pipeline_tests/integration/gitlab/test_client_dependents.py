"""What hangs on an entity: which endpoint is asked, and what becomes of a bad answer."""

import json

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.records import DiscussionRecord, LinkedRecord, ResourceEventRecord
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import (
    InvalidPayloadError,
    NotFoundError,
)
from surgical_pipeline_tests.integration.gitlab.api import ISSUE, ISSUES, MERGE_REQUEST, MERGE_REQUESTS
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, Request, WireServer

pytestmark = pytest.mark.anyio


async def test_a_hundred_issues_cost_one_request_and_each_dependent_one_more(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    def issues(request: Request) -> Reply:
        return Reply([{"iid": int(iid)} for iid in request.values("iids[]")])

    server.answer(ISSUES, issues)
    for name in ("discussions", "resource_label_events", "resource_state_events", "resource_milestone_events"):
        server.on(f"{ISSUES}/12/{name}", Reply([]))
    found = await client.entities_by_iids(7, EntityType.ISSUE, iids=range(1, 101), deadline=deadline)
    assert client.stats.requests == 1
    for count, dependent in enumerate(list(Dependent)[:4], start=2):
        await client.dependent(7, ISSUE, dependent=dependent, deadline=deadline)
        assert client.stats.requests == count
    assert [item["iid"] for item in found.items] == list(range(1, 101))
    query = server.requests[0].query
    assert query == (*(("iids[]", str(iid)) for iid in range(1, 101)), ("scope", "all"), ("per_page", "100"))


@pytest.mark.parametrize(
    ("dependent", "path", "item", "kind"),
    [
        (Dependent.DISCUSSIONS, "discussions", {"id": "d1", "notes": [{"id": 5}]}, DiscussionRecord),
        (Dependent.LABEL_EVENTS, "resource_label_events", {"id": 5}, ResourceEventRecord),
        (Dependent.STATE_EVENTS, "resource_state_events", {"id": 5}, ResourceEventRecord),
        (Dependent.MILESTONE_EVENTS, "resource_milestone_events", {"id": 5}, ResourceEventRecord),
        (Dependent.LINKS, "links", {"id": 3, "issue_link_id": 5}, LinkedRecord),
        (Dependent.CLOSED_BY, "closed_by", {"id": 5}, LinkedRecord),
        (Dependent.COMMITS, "commits", {"id": "abc"}, LinkedRecord),
        (Dependent.DIFFS, "diffs", {"new_path": "a.py"}, LinkedRecord),
        (Dependent.CLOSES_ISSUES, "closes_issues", {"id": "JIRA-1"}, LinkedRecord),
        (Dependent.AWARD_EMOJI, "award_emoji", {"id": 5, "name": "rocket"}, LinkedRecord),
    ],
)
async def test_each_dependent_comes_from_its_own_endpoint(
    server: WireServer,
    client: GitLabClient,
    deadline: Deadline,
    dependent: Dependent,
    path: str,
    item: dict[str, object],
    kind: type[object],
) -> None:
    key = ISSUE if EntityType.ISSUE in dependent.applies_to else MERGE_REQUEST
    base = f"{ISSUES}/12" if key is ISSUE else f"{MERGE_REQUESTS}/34"
    server.on(f"{base}/{path}", Reply([item]))
    found = await client.dependent(7, key, dependent=dependent, deadline=deadline)
    assert (found.key, found.dependent, found.source_version) == (key, dependent, None)
    assert [type(record) for record in found.records] == [kind]
    assert server.requests[0].query == (("per_page", "100"),)


async def test_a_dependent_that_the_entity_cannot_have_is_refused(
    client: GitLabClient, deadline: Deadline
) -> None:
    with pytest.raises(ValueError, match="commits"):
        await client.dependent(7, ISSUE, dependent=Dependent.COMMITS, deadline=deadline)


async def test_a_bad_item_fails_its_dependent_with_field_and_path(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(f"{ISSUES}/12/discussions", Reply([{"id": "d", "notes": [{"id": True, "body": "secret"}]}]))
    with pytest.raises(InvalidPayloadError, match=r"notes\.0\.id .*issues/12/discussions") as raised:
        await client.dependent(7, ISSUE, dependent=Dependent.DISCUSSIONS, deadline=deadline)
    assert "secret" not in raised.value.message
    failure = raised.value.as_failure("dependents", "discussions")
    assert (failure.stage, failure.dependent, failure.code) == (
        "dependents",
        "discussions",
        FailureCode.INVALID_PAYLOAD,
    )


async def test_a_missing_endpoint_fails_the_dependent_as_not_found(
    client: GitLabClient, deadline: Deadline
) -> None:
    with pytest.raises(NotFoundError):
        await client.dependent(7, ISSUE, dependent=Dependent.LINKS, deadline=deadline)


async def test_emoji_are_asked_for_of_merge_requests_too(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(f"{MERGE_REQUESTS}/34/award_emoji", Reply([{"id": 5}, {"id": 6}]))
    found = await client.dependent(7, MERGE_REQUEST, dependent=Dependent.AWARD_EMOJI, deadline=deadline)
    assert [record.record_id for record in found.records if isinstance(record, LinkedRecord)] == ["5", "6"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"id": 80, "iid": 34, "project_id": 7, "approved": True}, id="of a paid edition"),
        pytest.param({"user_has_approved": False, "approved": False, "approved_by": None}, id="of a free one"),
    ],
)
async def test_approvals_are_one_object_and_become_one_record(
    server: WireServer, client: GitLabClient, deadline: Deadline, answer: dict[str, object]
) -> None:
    server.on(f"{MERGE_REQUESTS}/34/approvals", Reply(answer))
    found = await client.dependent(7, MERGE_REQUEST, dependent=Dependent.APPROVALS, deadline=deadline)
    (record,) = found.records
    assert isinstance(record, LinkedRecord)
    assert (record.record_id, json.loads(record.payload)) == ("approvals", answer)
    assert server.requests[0].query == ()


@pytest.mark.parametrize("answer", [[], None, "approved", {"approved": "yes"}])
async def test_approvals_that_are_no_such_object_are_an_invalid_payload(
    server: WireServer, client: GitLabClient, deadline: Deadline, answer: object
) -> None:
    server.on(f"{MERGE_REQUESTS}/34/approvals", Reply(answer))
    with pytest.raises(InvalidPayloadError, match="merge_requests/34/approvals"):
        await client.dependent(7, MERGE_REQUEST, dependent=Dependent.APPROVALS, deadline=deadline)


@pytest.mark.parametrize(
    ("dependent", "path", "answer"),
    [
        (Dependent.APPROVALS, "approvals", {"iid": 35, "project_id": 7}),
        (Dependent.APPROVALS, "approvals", {"iid": 34, "project_id": 8}),
        (Dependent.DISCUSSIONS, "discussions", [{"id": "d", "notes": [{"id": 5, "noteable_iid": 35}]}]),
        (Dependent.DISCUSSIONS, "discussions", [{"id": "d", "notes": [{"id": 5, "project_id": 8}]}]),
    ],
)
async def test_a_dependent_of_another_entity_is_refused(
    server: WireServer, client: GitLabClient, deadline: Deadline, dependent: Dependent, path: str, answer: object
) -> None:
    server.on(f"{MERGE_REQUESTS}/34/{path}", Reply(answer))
    with pytest.raises(InvalidPayloadError, match=r"those of !34 in project 7 were asked for"):
        await client.dependent(7, MERGE_REQUEST, dependent=dependent, deadline=deadline)
