from collections.abc import Iterable
from dataclasses import replace

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.content import record_misses, upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.documents import (
    EntityDocuments,
    EntitySource,
    StoredDiscussion,
    load_sources,
    write_documents,
)
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    NOON,
    PROJECT,
    at,
    discussion,
    discussions,
    document,
    entity,
    events,
    issue,
    linked,
    merge_request,
    note,
    read_sql,
)

KEYS = [issue(1), issue(2), merge_request(1)]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, NOON)
        upsert_entities(tx, "run-1", [entity(key) for key in KEYS])
    return ledger


def source(tx: Transaction, key: EntityKey) -> EntitySource:
    (found,) = load_sources(tx, 7, [key])
    return found


def save(
    tx: Transaction, key: EntityKey, regenerated: Iterable[DocumentRecord], *kept: str, run_id: str = "run-1"
) -> None:
    unchanged = tuple(document(one, key) for one in kept)
    entry = EntityDocuments(key, source(tx, key).version, tuple(regenerated), unchanged)
    assert not write_documents(tx, run_id, 7, [entry])


def stored(tx: Transaction, columns: str = "document_id, content, deleted_at, run_id") -> list[tuple[object, ...]]:
    return read_sql(tx, f"SELECT {columns} FROM documents ORDER BY document_id")


def test_a_source_holds_all_that_is_rendered_in_its_order(filled: Ledger) -> None:
    late_label = events(issue(1), Dependent.LABEL_EVENTS, [30, 10, 20])
    with filled.write("dependents") as tx:
        second = discussion("b", note(4, position=1, text="two"), note(9, position=0, text="one"), position=1)
        first = discussion("z", note(7), position=0)
        sets = [discussions(issue(1), second, first), late_label, events(issue(1), Dependent.STATE_EVENTS, [1])]
        links = linked(issue(1), Dependent.LINKS, ["a", "b", "c"])
        sets += [replace(links, records=links.records[::-1]), linked(issue(1), Dependent.CLOSED_BY, ["d"])]
        replace_dependents(tx, "run-1", 7, sets)
        embedded, bare = document("doc", issue(1)), document("without vectors", issue(1))
        save(tx, issue(1), [embedded, bare])
        write_vectors(tx, "run-1", [DocumentVectors("doc", embedded.content_hash, "m", 2, ((0.6, 0.8),))])
    with filled.read() as tx:
        found = source(tx, issue(1))
    assert found.key == issue(1)
    assert found.project_path == "acme/rocket"
    assert found.payload == entity(issue(1)).payload
    assert not found.deleted
    assert found.discussions == (
        StoredDiscussion("z", '{"id": "z"}', ('{"id": 7, "body": "hello"}',)),
        StoredDiscussion("b", '{"id": "b"}', ('{"id": 9, "body": "one"}', '{"id": 4, "body": "two"}')),
    )
    assert found.label_events == ('{"id": 10}', '{"id": 20}', '{"id": 30}')
    assert (found.state_events, found.milestone_events) == (('{"id": 1}',), ())
    assert found.links == ('{"id": "a"}', '{"id": "b"}', '{"id": "c"}')
    assert (found.closed_by, found.closes_issues) == (('{"id": "d"}',), ())
    assert found.existing == {"doc": "hash of text"}


def test_sources_come_issues_first_and_only_those_that_are_there(filled: Ledger) -> None:
    with filled.read() as tx:
        found = load_sources(tx, 7, [merge_request(1), issue(99), issue(2), issue(1)])
        assert [one.key for one in found] == KEYS
        assert load_sources(tx, 7, []) == []
        assert load_sources(tx, 8, KEYS) == []


def change_entity(tx: Transaction) -> None:
    upsert_entities(tx, "run-2", [entity(issue(1), fetched=101)])


def change_discussions(tx: Transaction) -> None:
    replace_dependents(tx, "run-2", 7, [discussions(issue(1), fetched=101)])


def change_links(tx: Transaction) -> None:
    replace_dependents(tx, "run-2", 7, [linked(issue(1), Dependent.LINKS, ["5"], fetched=101)])


def rename_project(tx: Transaction) -> None:
    upsert_project(tx, "run-2", replace(PROJECT, path="acme/shuttle"), NOON)


def tombstone(tx: Transaction) -> None:
    for number in (2, 3):
        record_misses(tx, f"run-{number}", 7, [issue(1)], missed_at=tx.now.replace(hour=13 + number))


@pytest.mark.parametrize("change", [change_entity, change_discussions, change_links, tombstone])
def test_documents_of_a_source_that_changed_meanwhile_are_refused_and_the_others_written(
    filled: Ledger, change: object
) -> None:
    assert callable(change)
    with filled.write("docs") as tx:
        save(tx, issue(1), [document("doc1", issue(1), content="old")])
    with filled.read() as tx:
        sources = load_sources(tx, 7, [issue(1), issue(2)])
    with filled.write("meanwhile") as tx:
        change(tx)
    with filled.write("docs") as tx:
        before = stored(tx)[0]
        batch = [
            EntityDocuments(one.key, one.version, (document(f"doc{one.key.iid}", one.key, content="new"),))
            for one in sources
        ]
        assert write_documents(tx, "run-4", 7, batch) == {issue(1)}
        assert stored(tx)[0] == before
        assert stored(tx)[1][0] == "doc2"


def test_a_source_holds_what_it_is_linked_to_closed_by_and_closes(filled: Ledger) -> None:
    with filled.write("dependents") as tx:
        sets = [
            linked(issue(1), Dependent.LINKS, ["9", "5"]),
            linked(issue(2), Dependent.CLOSED_BY, ["6"]),
            linked(merge_request(1), Dependent.CLOSES_ISSUES, ["7"]),
        ]
        replace_dependents(tx, "run-1", 7, sets)
    with filled.read() as tx:
        first, second, change = load_sources(tx, 7, KEYS)
    assert (first.links, first.closed_by, first.closes_issues) == (('{"id": "9"}', '{"id": "5"}'), (), ())
    assert (second.links, second.closed_by, second.closes_issues) == ((), ('{"id": "6"}',), ())
    assert (change.links, change.closed_by, change.closes_issues) == ((), (), ('{"id": "7"}',))


def test_a_project_renamed_meanwhile_changes_every_source_of_it(filled: Ledger) -> None:
    with filled.read() as tx:
        before = {one.key: one.version for one in load_sources(tx, 7, KEYS)}
    with filled.write("meanwhile") as tx:
        rename_project(tx)
        after = {one.key: one.version for one in load_sources(tx, 7, KEYS)}
    assert all(before[key] != after[key] for key in KEYS)


def test_an_entity_that_is_not_there_is_refused(filled: Ledger) -> None:
    with filled.write("docs") as tx:
        entry = EntityDocuments(issue(99), "any", (document("doc", issue(99)),))
        assert write_documents(tx, "run-1", 7, [entry]) == {issue(99)}
        assert write_documents(tx, "run-1", 7, []) == frozenset()
        assert stored(tx) == []


def test_a_document_no_longer_made_is_tombstoned_with_its_vectors_and_comes_back_live(
    filled: Ledger,
) -> None:
    with filled.write("docs") as tx:
        save(tx, issue(1), [document("a", issue(1)), document("b", issue(1))])
        save(tx, issue(2), [document("c", issue(2))])
        for document_id in "abc":
            write_vectors(tx, "run-1", [DocumentVectors(document_id, "hash of text", MODEL, 1, ((1.0,),))])
    with filled.write("docs") as tx:
        save(tx, issue(1), [], "a", run_id="run-2")
        assert stored(tx) == [
            ("a", "text", None, "run-1"),
            ("b", "text", NOON, "run-2"),
            ("c", "text", None, "run-1"),
        ]
        assert source(tx, issue(1)).existing == {"a": "hash of text"}
        left = read_sql(tx, "SELECT document_id FROM embeddings ORDER BY 1")
        assert left == [("a",), ("c",)]
        save(tx, issue(1), [document("b", issue(1), content="again")], "a", run_id="run-3")
        assert stored(tx)[1] == ("b", "again", None, "run-3")


def test_a_document_is_stored_with_all_its_fields(filled: Ledger) -> None:
    with filled.write("docs") as tx:
        save(tx, issue(1), [document("doc", issue(1), confidential=True, internal=True)])
        fields = (
            "kind, entity_type, iid, title, labels, confidential, internal, state, author, web_url, project_id"
        )
        assert stored(tx, fields) == [
            (
                "issue",
                "issue",
                1,
                "Title of doc",
                ["bug", "ui"],
                True,
                True,
                "opened",
                "ada",
                "https://gitlab.test/doc",
                7,
            )
        ]


def test_of_two_entries_for_one_entity_the_later_counts(filled: Ledger) -> None:
    with filled.write("docs") as tx:
        version = source(tx, issue(1)).version
        batch = [
            EntityDocuments(issue(1), version, (document("doc", issue(1), content=text),))
            for text in ("first", "second")
        ]
        assert write_documents(tx, "run-1", 7, batch) == frozenset()
        assert stored(tx, "content") == [("second",)]


def test_where_an_unchanged_document_stands_and_since_when_is_brought_up_to_date(filled: Ledger) -> None:
    moved = replace(document("a", issue(1)), web_url="https://gitlab.new/a", updated_at=at(500))
    with filled.write("docs") as tx:
        save(tx, issue(1), [document("a", issue(1)), document("b", issue(1))])
        entry = EntityDocuments(issue(1), source(tx, issue(1)).version, (), (moved, document("b", issue(1))))
        assert not write_documents(tx, "run-2", 7, [entry])
        assert stored(tx, "web_url, updated_at, run_id")[0] == ("https://gitlab.new/a", at(500), "run-2")
        assert stored(tx, "run_id, deleted_at")[1] == ("run-1", None)
