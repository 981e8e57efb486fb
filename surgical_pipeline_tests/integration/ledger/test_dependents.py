import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import DependentSet
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.dependents import code_versions, replace_dependents, source_versions
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    at,
    discussion,
    discussions,
    entity,
    events,
    issue,
    linked,
    merge_request,
    note,
    read_sql,
)

LINKED_TABLES = {
    Dependent.LINKS: "issue_links",
    Dependent.CLOSED_BY: "issue_closed_by",
    Dependent.COMMITS: "merge_request_commits",
    Dependent.DIFFS: "merge_request_diffs",
    Dependent.CLOSES_ISSUES: "merge_request_closes_issues",
    Dependent.APPROVALS: "merge_request_approvals",
    Dependent.AWARD_EMOJI: "award_emoji",
}
_fresh_iids = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> DuckDBLedger:
    """One ledger for many examples, each with an IID of its own."""
    return DuckDBLedger(tmp_path_factory.mktemp("dependents") / "ledger.duckdb")


def replace(tx: Transaction, *sets: DependentSet, run_id: str = "run-1") -> set[tuple[EntityKey, Dependent]]:
    return set(replace_dependents(tx, run_id, 7, sets).replaced)


def notes(tx: Transaction) -> list[tuple[object, ...]]:
    return read_sql(tx, "SELECT noteable_type, noteable_iid, discussion_id, note_id FROM notes ORDER BY note_id")


@settings(max_examples=25, deadline=None)
@given(fetches=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=5))
def test_dependents_never_go_back(shared: DuckDBLedger, fetches: list[list[int]]) -> None:
    key = issue(next(_fresh_iids))
    kept = -1
    with shared.write("interleave") as tx:
        for batch in fetches:
            sets = [linked(key, Dependent.LINKS, [str(fetched)], fetched=fetched) for fetched in batch]
            fresher = max(batch) >= kept
            assert replace(tx, *sets) == ({(key, Dependent.LINKS)} if fresher else set())
            kept = max(batch) if fresher else kept
            found = read_sql(
                tx,
                "SELECT record_id, fetched_at FROM issue_links WHERE iid = $iid",
                iid=key.iid,
            )
            assert found == [(str(kept), at(kept))]


def test_deleted_notes_and_discussions_vanish_and_those_of_others_stay(ledger: Ledger) -> None:
    with ledger.write("replace") as tx:
        replace(
            tx,
            discussions(issue(1), discussion("a", note(1), note(2)), discussion("b", note(3))),
            discussions(merge_request(1), discussion("a", note(4))),
        )
    with ledger.write("replace again") as tx:
        replace(tx, discussions(issue(1), discussion("a", note(2)), fetched=200))
        assert notes(tx) == [("issue", 1, "a", 2), ("merge_request", 1, "a", 4)]
        left = read_sql(tx, "SELECT noteable_type, discussion_id FROM discussions ORDER BY 1")
        assert left == [("issue", "a"), ("merge_request", "a")]


@pytest.mark.parametrize("dependent", list(Dependent))
def test_an_empty_set_empties_the_dependent_and_is_remembered_as_fetched(
    ledger: Ledger, dependent: Dependent
) -> None:
    key = issue(1) if EntityType.ISSUE in dependent.applies_to else merge_request(1)
    if dependent is Dependent.DISCUSSIONS:
        full, table = discussions(key, discussion("a", note(1))), "notes"
    elif dependent in EVENT_DEPENDENTS:
        full, table = events(key, dependent, [1, 2]), "resource_events"
    else:
        full, table = linked(key, dependent, ["x", "y"]), LINKED_TABLES[dependent]
    with ledger.write("replace") as tx:
        assert replace(tx, full) == {(key, dependent)}
        assert read_sql(tx, f"SELECT COUNT(*) > 0 FROM {table}") == [(True,)]
        assert replace(tx, DependentSet(key, dependent, at(200), ())) == {(key, dependent)}
        assert read_sql(tx, f"SELECT COUNT(*) FROM {table}") == [(0,)]
        assert replace(tx, full) == set()


@pytest.mark.parametrize("replaced", range(5))
def test_replacing_one_dependent_of_one_entity_leaves_all_others(ledger: Ledger, replaced: int) -> None:
    owners = [
        (7, issue(1), Dependent.AWARD_EMOJI),
        (7, merge_request(1), Dependent.AWARD_EMOJI),
        (7, issue(2), Dependent.AWARD_EMOJI),
        (7, issue(1), Dependent.LINKS),
        (8, issue(1), Dependent.AWARD_EMOJI),
    ]
    with ledger.write("replace") as tx:
        for project_id, key, dependent in owners:
            replace_dependents(tx, "run-1", project_id, [linked(key, dependent, ["x", "y"])])
        project_id, key, dependent = owners[replaced]
        replace_dependents(tx, "run-2", project_id, [linked(key, dependent, ["y"], fetched=200)])
        found = read_sql(
            tx,
            "SELECT project_id, entity_type, iid, dependent, array_agg(record_id ORDER BY position) "
            "FROM linked_records GROUP BY 1, 2, 3, 4",
        )
    assert sorted(found) == sorted(
        (project_id, key.entity_type, key.iid, dependent, ["y"] if number == replaced else ["x", "y"])
        for number, (project_id, key, dependent) in enumerate(owners)
    )


def test_event_kinds_have_ids_of_their_own(ledger: Ledger) -> None:
    with ledger.write("replace") as tx:
        replace(tx, *(events(issue(1), dependent, [1, 2]) for dependent in EVENT_DEPENDENTS))
        replace(tx, events(issue(1), Dependent.LABEL_EVENTS, [2], fetched=200))
        found = read_sql(tx, "SELECT event_type, event_id FROM resource_events ORDER BY 1, 2")
    assert found == [
        ("label_events", 2),
        ("milestone_events", 1),
        ("milestone_events", 2),
        ("state_events", 1),
        ("state_events", 2),
    ]


def test_duplicates_of_shifted_pages_count_once_and_the_fresher_wins(ledger: Ledger) -> None:
    twice = discussion("a", note(1, text="old"), note(1, text="new"), position=0)
    again = discussion("a", note(2), position=1)
    with ledger.write("replace") as tx:
        replace(
            tx,
            discussions(issue(2), discussion("c", note(3)), fetched=150),
            discussions(issue(1), twice, again, fetched=100),
            discussions(issue(1), discussion("z", note(9)), fetched=99),
            linked(issue(1), Dependent.LINKS, ["x", "x"]),
            events(issue(1), Dependent.STATE_EVENTS, [3, 3]),
        )
        assert notes(tx) == [("issue", 1, "a", 1), ("issue", 1, "a", 2), ("issue", 2, "c", 3)]
        body = read_sql(tx, "SELECT payload ->> 'body' FROM notes WHERE note_id = 1")
        assert body == [("new",)]
        assert read_sql(tx, "SELECT position FROM issue_links") == [(1,)]


def test_one_sets_failure_to_be_fresh_does_not_hold_up_the_others(ledger: Ledger) -> None:
    with ledger.write("replace") as tx:
        replace(tx, events(issue(1), Dependent.STATE_EVENTS, [1], fetched=500))
        stale = events(issue(1), Dependent.STATE_EVENTS, [2])
        others = [events(issue(2), Dependent.STATE_EVENTS, [3]), discussions(issue(1), discussion("a", note(1)))]
        assert replace(tx, stale, *others) == {(one.key, one.dependent) for one in others}
        kept = read_sql(tx, "SELECT event_id FROM resource_events ORDER BY 1")
        assert kept == [(1,), (3,)]


def test_nothing_to_replace_replaces_nothing(ledger: Ledger) -> None:
    with ledger.write("replace") as tx:
        assert replace(tx) == set()


def test_source_versions_tell_which_state_commits_and_diffs_are_of(ledger: Ledger) -> None:
    key = merge_request(3)
    with ledger.write("replace") as tx:
        upsert_entities(tx, "run-1", [entity(key), entity(issue(3))])
        current = code_versions(tx, 7, [key, issue(3)])[key].current
        replace(
            tx,
            linked(key, Dependent.COMMITS, ["a"], version=current),
            linked(key, Dependent.DIFFS, ["a"], version="older"),
            linked(key, Dependent.CLOSES_ISSUES, ["a"]),
        )
        assert source_versions(tx, 7, [key]) == {
            (key, Dependent.COMMITS): current,
            (key, Dependent.DIFFS): "older",
        }
        version = code_versions(tx, 7, [key, issue(3)])[key]
        assert version.has_current(Dependent.COMMITS)
        assert not version.has_current(Dependent.DIFFS)
        assert source_versions(tx, 8, [key]) == {}
        assert source_versions(tx, 7, []) == {}
