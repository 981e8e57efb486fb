from collections.abc import Callable

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.checks import (
    Checked,
    ScopeCheck,
    documents_without_current_embedding,
    duplicate_documents,
    orphan_vectors,
    rows_outside_scope,
    what_is_checked,
)
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
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
    run_sql,
    start,
)

RUN = "run-1"


def save_document(tx: Transaction, key: EntityKey, *, content: str = "text", run_id: str = RUN) -> None:
    (source,) = load_sources(tx, 7, [key])
    one = document(f"doc{key}", key, content=content)
    write_documents(tx, run_id, 7, [EntityDocuments(key, source.version, (one,))])


def save_vector(tx: Transaction, key: EntityKey, *, content: str = "text", run_id: str = RUN) -> None:
    vectors = DocumentVectors(f"doc{key}", f"hash of {content}", MODEL, 1, ((1.0,),))
    assert write_vectors(tx, run_id, [vectors])


def save_everything(tx: Transaction, *, issue_iid: int, mr_iid: int, run_id: str = RUN) -> None:
    """A row in every content table."""
    one, other = issue(issue_iid), merge_request(mr_iid)
    upsert_entities(tx, run_id, [entity(one), entity(other)])
    sets = [discussions(one, discussion("a", note(issue_iid))), events(one, Dependent.LABEL_EVENTS, [issue_iid])]
    sets += [
        linked(one, dependent, ["x"])
        for dependent in (Dependent.LINKS, Dependent.CLOSED_BY, Dependent.AWARD_EMOJI)
    ]
    sets += [
        linked(other, dependent, ["x"])
        for dependent in (Dependent.COMMITS, Dependent.DIFFS, Dependent.CLOSES_ISSUES, Dependent.APPROVALS)
    ]
    replace_dependents(tx, run_id, 7, sets)
    for key in (one, other):
        save_document(tx, key, run_id=run_id)
        save_vector(tx, key, run_id=run_id)


def content_tables(tx: Transaction) -> set[str]:
    stamped = read_sql(
        tx,
        "SELECT table_name FROM information_schema.columns JOIN information_schema.tables "
        "USING (table_schema, table_name) "
        "WHERE column_name = 'run_id' AND table_schema = 'main' AND table_type = 'BASE TABLE'",
    )
    return {name for (name,) in stamped} - {
        "ledger_gitlab",
        "sync_runs",
        "sync_run_phases",
        "entity_outcomes",
        "entity_failures",
        "gitlab_events",
    }


@pytest.fixture
def run(ledger: Ledger) -> SyncRunRecorder:
    recorder = start(ledger, RUN, "acme/rocket#1!2")
    with recorder.window("project") as tx:
        upsert_project(tx, RUN, PROJECT, at(0))
    return recorder


def test_a_run_that_kept_to_its_scope_has_no_row_outside(ledger: Ledger, run: SyncRunRecorder) -> None:
    with run.window("all") as tx:
        save_everything(tx, issue_iid=1, mr_iid=2)
        save_everything(tx, issue_iid=8, mr_iid=9, run_id="another")
    with ledger.read() as tx:
        found = rows_outside_scope(tx, RUN)
        assert found.outside == {}
        assert found.written == sum(
            read_sql(tx, f"SELECT COUNT(*) FROM {table} WHERE run_id = $run", run=RUN)[0][0]
            for table in content_tables(tx)
        )
        assert found.written > len(content_tables(tx))


def test_every_table_is_searched_for_rows_outside_the_scope(ledger: Ledger, run: SyncRunRecorder) -> None:
    with run.window("all") as tx:
        save_everything(tx, issue_iid=2, mr_iid=1)
        upsert_project(tx, RUN, ProjectRecord(8, "other/project", "{}"), at(0))
    with ledger.read() as tx:
        found = rows_outside_scope(tx, RUN).outside
        assert set(found) == (content_tables(tx) - {"entities"}) | {"issues", "merge_requests"}
    assert (found["projects"], found["documents"], found["embeddings"], found["dependent_fetches"]) == (1, 2, 2, 9)


def test_the_same_iids_of_another_project_are_outside(run: SyncRunRecorder) -> None:
    with run.window("all") as tx:
        upsert_entities(tx, RUN, [entity(issue(1)), entity(issue(1), project_id=8)])
        assert rows_outside_scope(tx, RUN) == ScopeCheck(written=3, outside={"issues": 1})


@pytest.mark.parametrize(
    ("deleted", "gone"),
    [
        ("notes WHERE noteable_iid = 8", 1),
        ("discussions WHERE noteable_iid = 8", 1),
        ("resource_events WHERE noteable_iid = 8", 1),
        ("linked_records WHERE iid IN (8, 9)", 7),
        ("notes WHERE noteable_iid = 1", 0),
        ("linked_records WHERE iid IN (1, 2)", 0),
    ],
)
def test_rows_of_others_that_are_gone_are_noticed_and_those_of_its_own_are_not_the_scopes_matter(
    ledger: Ledger, run: SyncRunRecorder, deleted: str, gone: int
) -> None:
    with run.window("all") as tx:
        save_everything(tx, issue_iid=1, mr_iid=2)
        save_everything(tx, issue_iid=8, mr_iid=9, run_id="another")
        assert rows_outside_scope(tx, RUN).ok
        run_sql(tx, f"DELETE FROM {deleted}")
    with ledger.read() as tx:
        found = rows_outside_scope(tx, RUN)
        assert (found.outside, found.gone, found.ok) == ({}, gone, not gone)


def embed_old_text(tx: Transaction) -> None:
    save_vector(tx, issue(1))
    save_document(tx, issue(1), content="new")


def regenerated_by_another(tx: Transaction) -> None:
    save_vector(tx, issue(1))
    save_document(tx, issue(1), content="newer", run_id="another")


def delete_document(tx: Transaction) -> None:
    (source,) = load_sources(tx, 7, [issue(1)])
    write_documents(tx, RUN, 7, [EntityDocuments(issue(1), source.version, ())])


@pytest.mark.parametrize(
    ("happened", "lacking"),
    [
        (lambda _: None, ["doc#1"]),
        (lambda tx: save_vector(tx, issue(1)), []),
        (embed_old_text, ["doc#1"]),
        (regenerated_by_another, []),
        (delete_document, []),
    ],
    ids=["never embedded", "embedded", "changed after embedding", "regenerated by another run", "deleted"],
)
def test_a_regenerated_live_document_needs_a_vector_of_its_present_text(
    ledger: Ledger, run: SyncRunRecorder, happened: Callable[[Transaction], None], lacking: list[str]
) -> None:
    with run.window("docs") as tx:
        upsert_entities(tx, RUN, [entity(issue(1)), entity(issue(5))])
        save_document(tx, issue(1))
        save_document(tx, issue(5))  # not of this run's outcomes
        ids = {"regenerated_document_ids": ("doc#1",)}
        run.save_outcomes(tx, [EntityOutcome(entity_type=EntityType.ISSUE, iid=1, **ids)])
        happened(tx)
    with ledger.read() as tx:
        assert documents_without_current_embedding(tx, RUN, MODEL) == lacking
        assert documents_without_current_embedding(tx, "another", MODEL) == []
        assert what_is_checked(tx, RUN).regenerated_documents == 1
        assert what_is_checked(tx, "another").regenerated_documents == 0


def test_a_vector_whose_document_is_missing_or_deleted_is_an_orphan(run: SyncRunRecorder) -> None:
    with run.window("all") as tx:
        upsert_entities(tx, RUN, [entity(issue(1)), entity(issue(2)), entity(merge_request(2))])
        for key in (issue(1), issue(2), merge_request(2)):
            save_document(tx, key)
            save_vector(tx, key)
        assert orphan_vectors(tx) == {}
        run_sql(tx, "UPDATE documents SET deleted_at = now() WHERE document_id = 'doc#1'")
        run_sql(tx, "DELETE FROM documents WHERE document_id = 'doc!2'")
        assert orphan_vectors(tx) == {"doc!2": 1, "doc#1": 1}
        assert what_is_checked(tx, RUN) == Checked(regenerated_documents=0, vectors=3, live_documents=1)


def test_two_live_documents_of_one_kind_for_one_thing_are_duplicates(run: SyncRunRecorder) -> None:
    copy = "INSERT INTO documents SELECT * REPLACE ({}) FROM documents WHERE document_id = 'doc#1'"
    with run.window("all") as tx:
        upsert_entities(tx, RUN, [entity(issue(1)), entity(merge_request(1))])
        save_document(tx, issue(1))
        save_document(tx, merge_request(1))
        for harmless in (
            "'talk a' AS document_id, 'discussion' AS kind, 'a' AS discussion_id",
            "'talk b' AS document_id, 'discussion' AS kind, 'b' AS discussion_id",
            "'of another project' AS document_id, 8 AS project_id",
            "'dead' AS document_id, now() AS deleted_at",
        ):
            run_sql(tx, copy.format(harmless))
        assert duplicate_documents(tx) == []
        run_sql(tx, copy.format("'twin' AS document_id"))
        run_sql(tx, copy.format("'twin talk' AS document_id, 'discussion' AS kind, 'b' AS discussion_id"))
        assert duplicate_documents(tx) == ["doc#1", "talk b", "twin", "twin talk"]
