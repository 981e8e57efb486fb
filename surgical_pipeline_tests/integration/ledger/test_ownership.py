"""No record is taken over from another entity, whatever GitLab, a cache or a proxy gives."""

from collections.abc import Iterator

import duckdb
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import DependentSet
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.dependents import Replacement, replace_dependents
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    columns_of,
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
)

OWNERS = (issue(1), issue(2), merge_request(1))
TABLES = ("discussions", "notes", "resource_events", "linked_records")
GLOBAL = {Dependent.DISCUSSIONS, *EVENT_DEPENDENTS}
"""Those whose records GitLab numbers across all entities."""

Rows = dict[tuple[object, ...], list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def tx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBTransaction]:
    """One window for many examples, emptied before each."""
    with DuckDBLedger(tmp_path_factory.mktemp("owners") / "ledger.duckdb").write("all examples") as tx:
        yield tx


def made(key: EntityKey, dependent: Dependent, ids: list[int], fetched: int) -> DependentSet:
    if dependent is Dependent.DISCUSSIONS:
        return discussions(key, *(discussion(f"d{one}", note(one)) for one in ids), fetched=fetched)
    if dependent in EVENT_DEPENDENTS:
        return events(key, dependent, ids, fetched=fetched)
    return linked(key, dependent, list(map(str, ids)), fetched=fetched)


def rows_by_owner(tx: Transaction) -> Rows:
    """All rows of dependents, by project, entity and dependent."""
    found: Rows = {}
    for table in TABLES:
        rows = read_sql(tx, f"SELECT * EXCLUDE (run_id) FROM {table} ORDER BY ALL")
        names = [name for name in columns_of(tx, table) if name != "run_id"]
        for row in rows:
            one = dict(zip(names, row, strict=True))
            dependent = one.get("dependent") or one.get("event_type") or Dependent.DISCUSSIONS
            kind, iid = one.get("noteable_type", one.get("entity_type")), one.get("noteable_iid", one.get("iid"))
            found.setdefault((one["project_id"], kind, iid, dependent), []).append((table, *row))
    return found


def owned(project_id: int, one: DependentSet) -> tuple[object, ...]:
    return (project_id, one.key.entity_type, one.key.iid, one.dependent)


def write(tx: Transaction, project_id: int, sets: list[DependentSet]) -> Replacement:
    return replace_dependents(tx, "run", project_id, sets)


ids = st.lists(st.integers(1, 4), max_size=3, unique=True)


@pytest.mark.parametrize("dependent", list(Dependent))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_each_group_of_sets_leaves_every_other_entitys_rows_and_each_set_is_written_whole_or_not_at_all(
    tx: Transaction, dependent: Dependent, data: st.DataObject
) -> None:
    for table in (*TABLES, "dependent_fetches"):
        run_sql(tx, f"DELETE FROM {table}")
    keys = [key for key in OWNERS if key.entity_type in dependent.applies_to]
    one_set = st.tuples(st.sampled_from(keys), ids)
    groups = data.draw(st.lists(st.tuples(st.sampled_from([7, 8]), st.lists(one_set, max_size=3)), max_size=4))
    for fetched, (project_id, group) in enumerate(groups):
        sets = [made(key, dependent, given_ids, fetched) for key, given_ids in dict(group).items()]
        before = rows_by_owner(tx)
        done = write(tx, project_id, sets)
        after = rows_by_owner(tx)
        written = {owned(project_id, one) for one in sets if (one.key, one.dependent) in done.replaced}
        assert {owner: rows for owner, rows in after.items() if owner not in written} == {
            owner: rows for owner, rows in before.items() if owner not in written
        }
        for one in sets:
            held = {row[1:] for row in after.get(owned(project_id, one), [])}
            if (one.key, one.dependent) in done.replaced:
                assert len(held) == len(one.records) * (2 if dependent is Dependent.DISCUSSIONS else 1)
            else:
                assert done.foreign[one.key, one.dependent]
        assert dependent in GLOBAL or not done.foreign
        counted = read_sql(tx, "SELECT SUM(row_count) FROM dependent_fetches")
        assert (counted[0][0] or 0) == sum(map(len, after.values()))


@pytest.mark.parametrize("dependent", sorted(GLOBAL))
def test_a_record_that_the_ledger_has_for_another_entity_is_refused_and_both_are_named(
    ledger: Ledger, dependent: Dependent
) -> None:
    with ledger.write("replace") as tx:
        write(tx, 7, [made(issue(9), dependent, [5], 100)])
        write(tx, 8, [made(issue(1), dependent, [6], 100)])
        good = made(issue(2), dependent, [7], 200)
        done = write(
            tx, 7, [made(issue(1), dependent, [5], 200), made(merge_request(9), dependent, [6], 200), good]
        )
        assert done.replaced == {(issue(2), dependent)}
        assert done.foreign.keys() == {(issue(1), dependent), (merge_request(9), dependent)}
        what = "note" if dependent is Dependent.DISCUSSIONS else dependent
        assert f"GitLab gave {what} 5 for #1, and the ledger has it for #9" in done.foreign[issue(1), dependent]
        assert "sync #1 of project 8 first" in done.foreign[merge_request(9), dependent]


@pytest.mark.parametrize("dependent", sorted(GLOBAL))
def test_a_record_of_two_entities_at_once_is_nobodys(ledger: Ledger, dependent: Dependent) -> None:
    with ledger.write("replace") as tx:
        done = write(tx, 7, [made(issue(1), dependent, [5], 100), made(issue(2), dependent, [5, 6], 100)])
        assert (done.replaced, len(done.foreign)) == (frozenset(), 2)
        assert "for both #1 and #2" in done.foreign[issue(2), dependent]
        assert rows_by_owner(tx) == {}
        assert write(tx, 7, [made(issue(2), dependent, [5, 6], 100)]).replaced


@pytest.mark.parametrize("dependent", sorted(GLOBAL))
def test_the_tables_themselves_refuse_what_another_entity_has(ledger: Ledger, dependent: Dependent) -> None:
    """Where two machines write at once, nobody can look first; then the whole window is undone."""
    table, column = ("notes", "note_id") if dependent is Dependent.DISCUSSIONS else ("resource_events", "event_id")
    with ledger.write("replace") as tx:
        write(tx, 7, [made(issue(9), dependent, [5], 100)])
    with ledger.write("hide") as tx:
        found = read_sql(tx, f"SELECT * FROM {table}")
    with pytest.raises((LedgerError, duckdb.Error, psycopg.Error)), ledger.write("insert") as tx:
        run_sql(tx, f"INSERT INTO {table} SELECT * REPLACE (1 AS noteable_iid) FROM {table} WHERE {column} = 5")
    with ledger.read() as tx:
        assert read_sql(tx, f"SELECT * FROM {table}") == found


def test_a_document_of_another_entity_is_not_taken_over(ledger: Ledger) -> None:
    with ledger.write("docs") as tx:
        upsert_entities(tx, "run", [entity(issue(1)), entity(issue(2))])
        for key, taken in ((issue(1), "doc"), (issue(2), "other")):
            (source,) = load_sources(tx, 7, [key])
            write_documents(tx, "run", 7, [EntityDocuments(key, source.version, (document(taken, key),))])
        before = read_sql(tx, "SELECT * FROM documents ORDER BY ALL")
    with (
        pytest.raises(LedgerError, match="the documents doc belong to other entities"),
        ledger.write("docs") as tx,
    ):
        (source,) = load_sources(tx, 7, [issue(2)])
        write_documents(tx, "run", 7, [EntityDocuments(issue(2), source.version, (document("doc", issue(2)),))])
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT * FROM documents ORDER BY ALL") == before
