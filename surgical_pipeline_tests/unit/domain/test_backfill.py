"""Chunks of a backfill: exactly the entities, in canonical texts that fit into an index."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.backfill import (
    MAX_KEY_BYTES,
    LastFailure,
    chunks_of,
    named_scope,
    plan_of,
)
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.limits import MAX_CHUNK
from surgical_pipeline.domain.scope import MAX_IID, EntityKey, EntityType, Scope, ScopeError

PROJECT = "acme/rocket"


def issues(*iids: int) -> list[EntityKey]:
    return [EntityKey(EntityType.ISSUE, iid) for iid in iids]


def keys() -> st.SearchStrategy[list[EntityKey]]:
    """Runs of neighbours and single ones, small and large, of both kinds."""
    starts = st.tuples(st.sampled_from(EntityType), st.integers(1, MAX_IID - 400), st.integers(1, 400))
    near = st.tuples(st.sampled_from(EntityType), st.integers(1, 3000), st.integers(1, 3))
    return st.lists(st.one_of(starts, near), max_size=60).map(
        lambda runs: [EntityKey(kind, iid) for kind, first, count in runs for iid in range(first, first + count)]
    )


@given(keys(), st.integers(1, MAX_CHUNK), st.sampled_from([PROJECT, "a/b", f"{'group/' * 80}project", "123456"]))
def test_chunks_are_exactly_the_entities(wanted: list[EntityKey], chunk: int, project: str) -> None:
    chunks = list(chunks_of(project, wanted, chunk=chunk))
    named = [key for scope in chunks for key in tuple(scope.keys())]
    assert named == sorted(set(wanted))


@given(keys(), st.integers(1, MAX_CHUNK))
def test_chunks_are_canonical_and_fit(wanted: list[EntityKey], chunk: int) -> None:
    for scope in chunks_of(PROJECT, wanted, chunk=chunk):
        text = str(scope)
        assert str(Scope.parse(text)) == text
        assert len(scope) <= chunk
        assert len(text.encode()) <= MAX_KEY_BYTES


@given(keys(), st.integers(2, MAX_CHUNK))
def test_a_chunk_ends_only_where_one_more_would_not_fit(wanted: list[EntityKey], chunk: int) -> None:
    chunks = list(chunks_of(PROJECT, wanted, chunk=chunk))
    for scope, following in pairwise(chunks):
        more = Scope.of_keys(PROJECT, [*scope.keys(), next(following.keys())])
        assert len(scope) == chunk or len(str(more).encode()) > MAX_KEY_BYTES


def test_seven_hundred_scattered_iids_are_more_than_one_key() -> None:
    chunks = list(chunks_of(PROJECT, issues(*range(1000, 2400, 2)), chunk=1000))
    assert [len(scope) for scope in chunks] == [397, 303]


def test_a_path_that_leaves_no_room_is_refused_with_what_to_do() -> None:
    with pytest.raises(ScopeError, match="name it by its id"):
        list(chunks_of(f"{'group/' * 400}project", issues(1)))


@pytest.mark.parametrize(
    ("text", "iids"),
    [
        ("1-3,7", (1, 2, 3, 7)),
        (" 7, 1-3 ", (1, 2, 3, 7)),
        ("#7+#9", (7, 9)),
        ("7\n8\n9", (7, 8, 9)),
        ("5,,5;5", (5,)),
    ],
)
def test_iids_are_read_as_people_write_them(text: str, iids: tuple[int, ...]) -> None:
    assert named_scope(PROJECT, issues=text) == Scope.of(PROJECT, issue_iids=iids)


def test_issues_and_merge_requests_make_one_scope() -> None:
    assert str(named_scope(PROJECT, issues="1-3", merge_requests="!9")) == "acme/rocket#1-3!9"


@pytest.mark.parametrize("text", ["1-", "x", "0", "3-1", "1.5", "!5", "1 - 5", "acme/rocket#1"])
def test_what_is_no_iid_is_refused(text: str) -> None:
    with pytest.raises(ScopeError):
        named_scope(PROJECT, issues=text)


@pytest.mark.parametrize("text", ["", " ", ",,"])
def test_no_iid_at_all_is_refused(text: str) -> None:
    with pytest.raises(ScopeError, match="name issues or merge requests"):
        named_scope(PROJECT, issues=text)


def test_a_plan_counts_requests_and_time() -> None:
    chunks = [
        Scope.parse("acme/rocket#1-250"),
        Scope.parse("acme/rocket#251-260!1-40"),
        Scope.parse("acme/other#1"),
    ]
    plan = plan_of(chunks, dependents=CORE_DEPENDENTS, only_changed=False, planning_requests=2, per_minute=600)
    # A project and its batches for each run; discussions and three kinds of events for each entity.
    assert plan.requests == plan.least_requests == (1 + 3) + (1 + 1 + 1) + (1 + 1) + 301 * 4
    assert (plan.entities, plan.projects) == (301, ("acme/rocket", "acme/other"))
    assert plan.seconds == plan.requests / 10


def test_a_plan_of_only_what_changed_has_a_least() -> None:
    chunks = [Scope.parse("acme/rocket#1-500")]
    plan = plan_of(chunks, dependents=CORE_DEPENDENTS, only_changed=True, planning_requests=1, per_minute=None)
    assert (plan.least_requests, plan.requests, plan.seconds) == (6, 2006, None)


@pytest.mark.parametrize(
    ("code", "run_failed", "again"),
    [
        (FailureCode.TIMEOUT, False, True),
        (FailureCode.CANCELLED, True, True),
        (FailureCode.NOT_FOUND, False, False),
        (FailureCode.NOT_FOUND, True, False),
        (FailureCode.FORBIDDEN, False, False),
        (FailureCode.UNAUTHORIZED, True, True),
        (FailureCode.INVALID_PAYLOAD, True, False),
    ],
)
def test_a_resumed_backfill_takes_what_may_succeed(code: FailureCode, *, run_failed: bool, again: bool) -> None:
    failure = LastFailure(
        project=PROJECT, entity_type=EntityType.ISSUE, iid=1, code=code, own=True, run_failed=run_failed
    )
    assert failure.worth_another_try is again
