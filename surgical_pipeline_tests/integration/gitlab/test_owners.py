"""Whose dependents an answer holds, over HTTP: all that a payload tells must be of the entity asked for."""

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import DependentSet
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer
from surgical_pipeline_tests.unit.gitlab.owned import owner_fields

PROJECT = 7
PLURALS = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge_requests"}
NAMES_NOBODY = {Dependent.CLOSED_BY, Dependent.COMMITS, Dependent.DIFFS, Dependent.CLOSES_ISSUES}
CASES = [(dependent, kind) for dependent in Dependent for kind in EntityType if kind in dependent.applies_to]
TELLING = [(dependent, kind) for dependent, kind in CASES if dependent not in NAMES_NOBODY | {Dependent.LINKS}]


def item(dependent: Dependent, number: int, owner: dict[str, Any]) -> dict[str, Any]:
    """One item with such an owner; a page has several."""
    if dependent is Dependent.DISCUSSIONS:
        return {"id": f"d{number}", "notes": [{"id": number, "body": "b"} | owner]}
    return ({} if dependent is Dependent.APPROVALS else {"id": number}) | owner


def fetch(
    dependent: Dependent, key: EntityKey, items: list[dict[str, Any]], gitlab_id: int | None
) -> DependentSet:
    """What the client makes of the items as the answer of that entity's endpoint."""
    name = f"resource_{dependent}" if dependent in EVENT_DEPENDENTS else str(dependent)

    async def asked() -> DependentSet:
        async with WireServer() as server:
            path = f"/api/v4/projects/{PROJECT}/{PLURALS[key.entity_type]}/{key.iid}/{name}"
            server.on(path, Reply(items[0] if dependent is Dependent.APPROVALS else items))
            async with GitLabClient(server.url, "a-token", limiter=RateLimiter()) as client:
                deadline = Deadline.after(30, time.monotonic)
                return await client.dependent(
                    PROJECT, key, dependent=dependent, deadline=deadline, gitlab_id=gitlab_id
                )

    return asyncio.run(asked())


def test_every_dependent_is_known_to_name_its_owner_or_nobody() -> None:
    naming = {
        one for one in Dependent if owner_fields(one, EntityKey(EntityType.ISSUE, 1), project_id=1, gitlab_id=1)
    }
    assert naming | NAMES_NOBODY | {Dependent.LINKS} == set(Dependent)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_dependent_is_taken_exactly_if_nothing_in_it_names_another_owner(data: st.DataObject) -> None:
    dependent, kind = data.draw(st.sampled_from(TELLING))
    key, gitlab_id = EntityKey(kind, 1), 101
    right = owner_fields(dependent, key, project_id=PROJECT, gitlab_id=gitlab_id)
    other = EntityKey(data.draw(st.sampled_from(EntityType)), data.draw(st.sampled_from([1, 9])))
    wrong = owner_fields(dependent, other, project_id=data.draw(st.sampled_from([7, 8])), gitlab_id=109)
    names = sorted(right)
    count = 1 if dependent is Dependent.APPROVALS else data.draw(st.integers(1, 3))
    owners = []
    for _ in range(count):
        told = data.draw(st.sets(st.sampled_from(names)))
        from_other = data.draw(st.sets(st.sampled_from(sorted(told)))) if told else set()
        owners.append({name: (wrong if name in from_other else right)[name] for name in told})
    known_id = data.draw(st.sampled_from([gitlab_id, None]))
    unknowable = set() if known_id else {"noteable_id", "resource_id", "awardable_id", "id"}
    contradicted = any(owner[name] != right[name] for owner in owners for name in owner if name not in unknowable)
    items = [item(dependent, number, owner) for number, owner in enumerate(owners, 1)]
    if contradicted:
        with pytest.raises(
            InvalidPayloadError, match=rf"where those of {key} in project 7 were asked for .*GET /api"
        ):
            fetch(dependent, key, items, known_id)
    else:
        assert len(fetch(dependent, key, items, known_id).records) == count


@pytest.mark.parametrize(("dependent", "kind"), TELLING)
@pytest.mark.parametrize("value", [0, -1, 1.0, True, "101", "issue?", [], {"a": 1}, 2**70])
def test_an_owner_that_no_gitlab_writes_is_not_this_one(
    dependent: Dependent, kind: EntityType, value: object
) -> None:
    key = EntityKey(kind, 1)
    for name in owner_fields(dependent, key, project_id=PROJECT, gitlab_id=101):
        with pytest.raises(InvalidPayloadError):
            fetch(dependent, key, [item(dependent, 1, {name: value})], 101)


@pytest.mark.parametrize("told", ["Issue", "WorkItem", "issue"])
def test_an_issue_is_a_work_item_too(told: str) -> None:
    key = EntityKey(EntityType.ISSUE, 1)
    assert fetch(Dependent.LABEL_EVENTS, key, [{"id": 1, "resource_type": told}], 101).records


@pytest.mark.parametrize("told", ["MergeRequest", "Merge request", "Commit"])
def test_a_merge_request_is_written_in_two_ways_and_has_notes_on_its_commits(told: str) -> None:
    key = EntityKey(EntityType.MERGE_REQUEST, 1)
    items = [item(Dependent.DISCUSSIONS, 1, {"noteable_type": told})]
    assert fetch(Dependent.DISCUSSIONS, key, items, 101).records


@pytest.mark.parametrize(
    "linked",
    [{"id": 101}, {"id": 5, "project_id": PROJECT, "iid": 1}, {"id": 101, "project_id": PROJECT, "iid": 1}],
)
def test_links_that_lead_to_the_issue_itself_are_those_of_another(linked: dict[str, Any]) -> None:
    """No issue is linked to itself, but another issue may be linked to this one."""
    key = EntityKey(EntityType.ISSUE, 1)
    others = [{"id": 102, "iid": 2, "project_id": PROJECT}, {"id": 103, "iid": 1, "project_id": 8}]
    assert len(fetch(Dependent.LINKS, key, others, 101).records) == 2
    with pytest.raises(InvalidPayloadError, match="GitLab gave links whose id is"):
        fetch(Dependent.LINKS, key, [*others, linked], 101)
