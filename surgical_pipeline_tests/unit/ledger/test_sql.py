import re

import pytest

from surgical_pipeline.domain.outcomes import Counters
from surgical_pipeline.ledger import sql
from surgical_pipeline_tests.surroundings import REPOSITORY

PACKAGE = REPOSITORY / "surgical_pipeline"


def test_a_file_is_read_into_named_described_queries() -> None:
    text = (
        "-- A heading.\n\n-- name: first\n-- What it does.\nSELECT 1; -- why\n\n"
        "-- name: second\n-- More.\nSELECT\n  2;\n"
    )
    assert sql.parse(text) == (
        sql.Query("first", "What it does.", "SELECT 1; -- why"),
        sql.Query("second", "More.", "SELECT\n  2;"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;\n-- name: first\n-- What it does.\nSELECT 1;\n",
        "-- name: first\nSELECT 1;\n",
        "-- name: first\n-- What it does.\n",
        "-- name: first\n-- What it does.\n-- name: second\n-- More.\nSELECT 1;",
        "-- name: two words\n-- What it does.\nSELECT 1;",
    ],
)
def test_a_query_without_name_description_or_sql_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"SQL stands before|a query is"):
        sql.parse(text)


@pytest.mark.parametrize("database", ["duckdb", "postgres"])
def test_every_query_is_one_statement(database: str) -> None:
    for query in sql.queries(database).values():
        assert query.text.count(";") == 1, query.name
        assert query.text.endswith(";"), query.name


def test_what_a_database_says_in_its_own_way_takes_the_same_parameters_or_fewer() -> None:
    """A store passes what the shared query takes; DuckDB refuses one too many. Vectors are a table to it."""
    of_duckdb, of_postgres = sql.queries("duckdb"), sql.queries("postgres")
    for name in of_duckdb.keys() & of_postgres.keys():
        ours, theirs = (set(re.findall(r"\$([a-z_]\w*)", one[name].text)) for one in (of_duckdb, of_postgres))
        as_table = {"vector"} if "given_vectors" in of_duckdb[name].text else set()
        assert theirs - as_table <= ours, name


def test_both_databases_have_the_same_migrations() -> None:
    versions = [[(one.version, one.name) for one in sql.migrations(name)] for name in ("duckdb", "postgres")]
    assert versions[0] == versions[1]


def test_an_unknown_query_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="no_such_query"):
        sql.query("no_such_query")


@pytest.mark.parametrize("query", ["set_run_counters", "update_run"])
def test_each_counter_is_written_by_the_query_that_changes_them(query: str) -> None:
    parameters = set(re.findall(r"\$(\w+)", sql.query(query).text))
    assert parameters >= {*Counters.model_fields, "run_id"}


def test_every_update_of_a_run_names_the_status_it_starts_from() -> None:
    updates = [query for query in sql.queries().values() if "UPDATE sync_runs" in query.text]
    assert len(updates) > 5
    unguarded = {query.name for query in updates if not re.search(r"status = 'running'", query.text)}
    assert unguarded == {"set_dagster_status"}


def test_the_life_of_a_run_is_written_by_the_recorder_alone() -> None:
    """The others: what Dagster says of it, its deletion, and the recorder's own parts, which nobody else calls."""
    package = [(path.stem, path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]
    writes = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) sync_run(s|_phases)\b")
    written = [query.name for query in sql.queries().values() if writes.search(query.text)]
    by_others = {
        (name, module)
        for name in written
        for module, text in package
        if f'"{name}"' in text and module not in ("recorder", "turns")  # turns: what they wait for
    }
    assert len(written) >= 10
    assert by_others == {
        ("queue_run", "runs"),
        ("set_dagster_status", "runs"),
        ("insert_run", "beginnings"),
        ("start_queued_run", "beginnings"),
        ("update_run", "run_row"),
        ("open_phase", "run_row"),
        ("update_phases", "run_row"),
        ("finish_run", "endings"),
        ("close_open_phase", "endings"),
        ("prune_phases", "pruning"),
        ("prune_runs", "pruning"),
    }
    for name, module in (("begin_run(", "beginnings"), ("end_run(", "endings"), ("RunRow(", "run_row")):
        assert {user for user, text in package if name in text and user != module} == {"recorder"}


def test_every_migration_says_which_programs_may_go_on_after_it() -> None:
    """Since the ledger keeps it; a program of before would not look at it, so none of those can be tolerated."""
    for database in ("duckdb", "postgres"):
        (since,) = [one.version for one in sql.migrations(database) if one.name == "older_programs"]
        for migration in sql.migrations(database):
            if migration.version > since:
                assert re.search(r"^-- oldest program: \d+$", migration.text, flags=re.MULTILINE), migration.name
                assert since <= migration.oldest_program <= migration.version, migration.name


def test_both_databases_tolerate_the_same_programs() -> None:
    tolerated = [[one.oldest_program for one in sql.migrations(name)] for name in ("duckdb", "postgres")]
    assert tolerated[0] == tolerated[1]
