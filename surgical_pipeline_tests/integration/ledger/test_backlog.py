import pytest

from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.backlog import (
    UnknownProjectError,
    count_backlog,
    find_project,
    load_backlog,
    prune_other_models,
)
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import NOON, PROJECT, document, entity, issue, read_sql

OTHER = ProjectRecord(project_id=8, path="acme/shuttle", payload='{"id": 8}')


def write(tx: Transaction, project_id: int, key: EntityKey, *ids: str, content: str = "text") -> None:
    """Exactly these documents become those of the entity."""
    (source,) = load_sources(tx, project_id, [key])
    documents = tuple(document(one, key, content=content) for one in ids)
    assert not write_documents(tx, "run-1", project_id, [EntityDocuments(key, source.version, documents)])


def embed(tx: Transaction, *ids: str, model: str, text: str = "text") -> None:
    batch = [DocumentVectors(one, f"hash of {text}", model, 1, ((1.0,),)) for one in ids]
    assert write_vectors(tx, "run-1", batch) == set(ids)


def models(tx: Transaction) -> list[tuple[object, ...]]:
    return read_sql(tx, "SELECT document_id, model FROM embeddings ORDER BY ALL")


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Documents a to d of one project, z of another."""
    with ledger.write("fill") as tx:
        for project in (PROJECT, OTHER):
            upsert_project(tx, "run-1", project, NOON)
            upsert_entities(tx, "run-1", [entity(issue(1), project_id=project.project_id)])
        write(tx, 7, issue(1), "a", "b", "c", "d")
        write(tx, 8, issue(1), "z")
    return ledger


def backlog(tx: Transaction, model: str, *, project_id: int | None = None, after: str = "") -> list[str]:
    found = load_backlog(tx, model, project_id=project_id, after=after, limit=3)
    return [one.document_id for one in found]


def test_the_backlog_is_what_lacks_vectors_of_its_present_text_by_the_model(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        embed(tx, "a", "b", model="new")
        embed(tx, "c", "d", "z", model="old")
        write(tx, 7, issue(1), "a", "b", "c", content="a newer text")
        embed(tx, "b", model="new", text="a newer text")
        assert backlog(tx, "new") == ["a", "c", "z"]
        assert count_backlog(tx, "new", None) == 3


def test_the_backlog_comes_in_pages_by_id_and_of_one_project_if_asked(filled: Ledger) -> None:
    with filled.read() as tx:
        assert backlog(tx, "m") == ["a", "b", "c"]
        assert backlog(tx, "m", after="c") == ["d", "z"]
        assert backlog(tx, "m", after="z") == []
        assert backlog(tx, "m", project_id=8) == ["z"]
        assert (count_backlog(tx, "m", 7), count_backlog(tx, "m", 8), count_backlog(tx, "m", 9)) == (4, 1, 0)


def test_a_project_is_found_by_path_or_id(filled: Ledger) -> None:
    with filled.read() as tx:
        assert find_project(tx, "acme/shuttle") == find_project(tx, "8") == 8
        with pytest.raises(UnknownProjectError, match="no project 'acme/nowhere'"):
            find_project(tx, "acme/nowhere")


def test_pruning_never_takes_the_only_vectors_of_a_document(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        embed(tx, "a", "b", "c", "z", model="old")
        embed(tx, "a", "b", "z", model="new")
        assert prune_other_models(tx, "new", project_id=7, limit=1) == 1
        assert models(tx) == [
            ("a", "new"),
            ("b", "new"),
            ("b", "old"),
            ("c", "old"),
            ("z", "new"),
            ("z", "old"),
        ]
        assert prune_other_models(tx, "new", project_id=None, limit=9) == 2
        assert prune_other_models(tx, "new", project_id=None, limit=9) == 0
        assert models(tx) == [("a", "new"), ("b", "new"), ("c", "old"), ("z", "new")]


def test_pruning_waits_for_vectors_of_the_present_text(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        embed(tx, "a", model="old")
        embed(tx, "a", model="new")
        write(tx, 7, issue(1), "a", content="a newer text")
        assert prune_other_models(tx, "new", project_id=None, limit=9) == 0
