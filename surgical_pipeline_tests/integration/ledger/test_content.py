import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.content import Misses, record_misses, upsert_entities, upsert_project
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    PROJECT,
    at,
    document,
    entity,
    issue,
    merge_request,
    read_sql,
)

BOTH = [issue(1), merge_request(1)]
TABLES = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge_requests"}
_fresh_iids = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> DuckDBLedger:
    """One ledger for many examples, each with an IID of its own."""
    return DuckDBLedger(tmp_path_factory.mktemp("content") / "ledger.duckdb")


def row(tx: Transaction, key: EntityKey, *names: str) -> tuple[object, ...]:
    table = TABLES[key.entity_type]
    found = read_sql(
        tx,
        f"SELECT {', '.join(names)} FROM {table} WHERE project_id = 7 AND iid = $iid",
        iid=key.iid,
    )
    assert len(found) <= 1
    return found[0] if found else ()


def misses(tx: Transaction, run_id: str, *keys: EntityKey, when: float) -> Misses:
    return record_misses(tx, run_id, PROJECT.project_id, keys, missed_at=at(when))


versions = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(versions, min_size=1, max_size=3), min_size=1, max_size=5), kind=st.booleans())
def test_the_freshest_version_stays_in_whatever_order_they_come(
    shared: DuckDBLedger, batches: list[list[tuple[int, int]]], kind: bool
) -> None:
    key = EntityKey(list(EntityType)[kind], next(_fresh_iids))
    kept: tuple[int, int] | None = None
    with shared.write("interleave") as tx:
        for number, batch in enumerate(batches):
            records = [entity(key, updated=u, fetched=f, title=f"{u}-{f}") for u, f in batch]
            written = upsert_entities(tx, f"run-{number}", records)
            fresher = kept is None or max(batch) >= kept
            assert written.keys() == ({key} if fresher else set())
            kept = max(batch) if fresher else kept
            assert kept is not None
            assert row(tx, key, "title", "updated_at", "fetched_at") == (
                f"{kept[0]}-{kept[1]}",
                at(kept[0]),
                at(kept[1]),
            )


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_a_repeated_write_is_written_again_and_changes_nothing(ledger: Ledger, key: EntityKey) -> None:
    for _ in range(2):
        with ledger.write("again") as tx:
            assert upsert_entities(tx, "run-1", [entity(key)]).keys() == {key}
            everything = row(tx, key, "*")
    with ledger.read() as tx:
        assert row(tx, key, "*") == everything


def test_issues_and_merge_requests_of_one_iid_and_projects_of_one_key_stay_apart(ledger: Ledger) -> None:
    with ledger.write("ingest") as tx:
        records = [*map(entity, BOTH), entity(issue(1), project_id=8, title="other")]
        assert upsert_entities(tx, "run-1", records).keys() == set(BOTH)
        assert row(tx, issue(1), "title", "moved_to_id") == ("Engine", 42)
        assert row(tx, merge_request(1), "sha", "target_branch", "target_project_id") == ("c0ffee", "main", 7)
        assert upsert_entities(tx, "run-1", []).keys() == frozenset()


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_the_second_miss_in_a_row_tombstones_and_the_same_run_counts_once(ledger: Ledger, key: EntityKey) -> None:
    with ledger.write("miss") as tx:
        upsert_entities(tx, "run-1", [entity(key, fetched=0)])
        once = Misses(tombstoned=frozenset(), missed=frozenset({key}))
        gone = Misses(tombstoned=frozenset({key}), missed=frozenset())
        assert misses(tx, "run-2", key, when=10) == once
        assert misses(tx, "run-2", key, when=10) == once
        assert row(tx, key, "missed_at", "deleted_at", "run_id") == (at(10), None, "run-2")
        assert misses(tx, "run-3", key, when=20) == gone
        assert misses(tx, "run-3", key, when=20) == gone
        assert row(tx, key, "missed_at", "deleted_at", "run_id") == (at(20), at(20), "run-3")
        assert misses(tx, "run-4", key, when=30) == once
        assert row(tx, key, "missed_at", "deleted_at", "run_id") == (at(20), at(20), "run-3")


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_a_fetch_between_two_misses_starts_the_count_anew(ledger: Ledger, key: EntityKey) -> None:
    with ledger.write("miss") as tx:
        upsert_entities(tx, "run-1", [entity(key, fetched=0)])
        misses(tx, "run-2", key, when=10)
        upsert_entities(tx, "run-3", [entity(key, fetched=15)])
        assert row(tx, key, "missed_at") == (None,)
        assert misses(tx, "run-4", key, when=20).missed == {key}
        assert row(tx, key, "deleted_at") == (None,)


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_a_miss_older_than_the_fetch_touches_nothing(ledger: Ledger, key: EntityKey) -> None:
    with ledger.write("miss") as tx:
        upsert_entities(tx, "run-1", [entity(key, fetched=100)])
        for run_id in ("run-2", "run-3"):
            assert misses(tx, run_id, key, when=99).missed == {key}
        assert row(tx, key, "missed_at", "deleted_at", "run_id") == (None, None, "run-1")


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_what_becomes_of_one_kind_leaves_the_other_of_the_same_iid_as_it_was(
    ledger: Ledger, key: EntityKey
) -> None:
    (other,) = set(BOTH) - {key}
    everything = ("run_id", "title", "missed_at", "deleted_at")
    with ledger.write("miss") as tx:
        upsert_entities(tx, "run-1", [entity(one, updated=9, fetched=9) for one in BOTH])
        misses(tx, "run-2", key, when=10)
        assert row(tx, other, *everything) == ("run-1", "Engine", None, None)
        misses(tx, "run-3", other, when=20)
        assert misses(tx, "run-4", key, when=30).tombstoned == {key}
        assert row(tx, other, *everything) == ("run-3", "Engine", at(20), None)
        assert upsert_entities(tx, "run-5", [entity(key, updated=5, fetched=40)]) == {}
        assert row(tx, other, *everything) == ("run-3", "Engine", at(20), None)
        assert upsert_entities(tx, "run-6", [entity(key, updated=50, fetched=50, title="Wing")]).keys() == {key}
        assert row(tx, other, *everything) == ("run-3", "Engine", at(20), None)
        assert row(tx, key, *everything) == ("run-6", "Wing", None, None)


def test_what_the_ledger_never_had_is_missed_and_leaves_no_row(ledger: Ledger) -> None:
    with ledger.write("miss") as tx:
        assert misses(tx, "run-1", *BOTH, when=1).missed == set(BOTH)
        assert row(tx, issue(1), "iid") == ()


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_a_later_fetch_revives_and_one_begun_before_the_miss_does_not(ledger: Ledger, key: EntityKey) -> None:
    with ledger.write("revive") as tx:
        upsert_entities(tx, "run-1", [entity(key, fetched=0)])
        misses(tx, "run-2", key, when=10)
        misses(tx, "run-3", key, when=20)
        assert upsert_entities(tx, "run-4", [entity(key, fetched=19)]).keys() == {key}
        assert row(tx, key, "deleted_at", "missed_at", "missed_run_id") == (at(20), at(20), "run-3")
        assert upsert_entities(tx, "run-5", [entity(key, fetched=21)]).keys() == {key}
        assert row(tx, key, "deleted_at", "missed_at", "missed_run_id") == (None, None, None)


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_a_fetch_whose_updated_at_went_back_is_no_miss_either(ledger: Ledger, key: EntityKey) -> None:
    """A GitLab restored from a backup, or a replica that lags: the row stays as it is, but the entity is there."""
    marks = ("deleted_at", "missed_at", "missed_run_id", "title")
    with ledger.write("restored") as tx:
        upsert_entities(tx, "run-1", [entity(key, updated=9, fetched=9, title="newer")])
        misses(tx, "run-2", key, when=10)
        older = entity(key, updated=5, fetched=15, title="older")
        assert upsert_entities(tx, "run-3", [older]).keys() == frozenset()
        assert row(tx, key, *marks) == (None, None, None, "newer")
        assert misses(tx, "run-4", key, when=20).missed == {key}
        assert misses(tx, "run-5", key, when=30).tombstoned == {key}
        begun_before = entity(key, updated=5, fetched=29)
        assert upsert_entities(tx, "run-6", [begun_before]).keys() == frozenset()
        assert row(tx, key, *marks) == (at(30), at(30), "run-5", "newer")
        assert upsert_entities(tx, "run-7", [entity(key, updated=5, fetched=31)]).keys() == frozenset()
        assert row(tx, key, *marks) == (None, None, None, "newer")


def test_a_tombstone_takes_documents_and_vectors_with_it_and_spares_the_neighbours(ledger: Ledger) -> None:
    keys = [issue(1), issue(2)]
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
        upsert_entities(tx, "run-1", [entity(key, fetched=0) for key in keys])
        documents = [document(f"doc{key}", key) for key in keys]
        batch = [
            EntityDocuments(source.key, source.version, (one,))
            for source, one in zip(load_sources(tx, 7, keys), documents, strict=True)
        ]
        write_documents(tx, "run-1", 7, batch)
        vectors = [
            DocumentVectors(one.document_id, one.content_hash, MODEL, 2, ((1.0, 0.0),)) for one in documents
        ]
        write_vectors(tx, "run-1", vectors)
    for number in (2, 3):
        with ledger.write("lose") as tx:
            misses(tx, f"run-{number}", issue(1), when=number)
    with ledger.read() as tx:
        left = read_sql(tx, "SELECT document_id FROM embeddings")
        dead = read_sql(tx, "SELECT document_id, deleted_at, run_id FROM documents ORDER BY 1")
        source = load_sources(tx, 7, [issue(1)])[0]
    assert left == [("doc#2",)]
    assert dead == [("doc#1", at(3), "run-3"), ("doc#2", None, "run-1")]
    assert source.deleted
    assert source.existing == {}


def test_the_project_of_the_latest_fetch_stays(ledger: Ledger) -> None:
    with ledger.write("project") as tx:
        for run_id, fetched in (("run-1", 5), ("run-2", 4), ("run-3", 5)):
            upsert_project(tx, run_id, PROJECT, at(fetched))
        assert read_sql(tx, "SELECT run_id, path FROM projects") == [("run-3", "acme/rocket")]


def test_half_a_surrogate_pair_does_not_take_the_batch_down(tmp_path: Path) -> None:
    odd = entity(issue(1), title="half \ud83d")
    with DuckDBLedger(tmp_path / "l.duckdb").write("odd") as tx:
        assert upsert_entities(tx, "run-1", [odd, entity(issue(2), title=r"\ud83d\ude80 \ud83d")]).keys() == {
            issue(1),
            issue(2),
        }
        assert row(tx, issue(1), "title") == ("half \ufffd",)
        assert row(tx, issue(2), "json_extract_string(payload, 'title')") == ("🚀 \ufffd",)
