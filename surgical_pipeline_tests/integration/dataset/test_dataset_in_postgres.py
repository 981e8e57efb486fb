"""Tables as DataFrames, and readers' own SQL, from a ledger in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from surgical_pipeline.dataset import Dataset, open_dataset
from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.schema import SCHEMA, views
from surgical_pipeline.ledger.copying import copy_ledger
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.postgres.rows import PostgresRows
from surgical_pipeline_tests.integration.dataset.everything import filled_ledger
from surgical_pipeline_tests.postgres_server import PASSWORD, PostgresServer


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[str]:
    file = filled_ledger(tmp_path_factory.mktemp("filled") / "ledger.duckdb")
    with postgres.temporary() as name:
        copy_ledger(DuckDBRows(file), PostgresRows(postgres.ledger(name)))
        yield name


@pytest.fixture
def dataset(postgres: PostgresServer, database: str) -> Iterator[Dataset]:
    with open_dataset(postgres.url(database)) as opened:
        yield opened


def test_filters_choose_rows_as_on_a_file(dataset: Dataset) -> None:
    assert list(dataset.issues(project="acme/rocket", labels=["bug"])["iid"]) == [1]
    assert sorted(dataset.issues(iid=[1, 2, 3], updated_after="2026-05-04")["iid"]) == [1, 2]
    assert len(dataset.issues(updated_after="2027-01-01", due_date_before="2027-01-01")) == 0
    assert len(dataset.runs(lock_wait_ms=0.5)) == 0
    assert dataset.arrow("issues", columns=["iid"], confidential=True).to_pylist() == [{"iid": 2}]
    assert PASSWORD not in repr(dataset)


def test_each_type_of_sql_has_one_dtype_with_rows_and_without(dataset: Dataset) -> None:
    text = (
        "SELECT iid, confidential, title, created_at, created_at - updated_at AS took, created_at::DATE AS day, "
        "created_at::TIMESTAMP AS local, labels, COUNT(*) OVER () AS many, SUM(iid) OVER () AS total, "
        "0.5 AS half, '{}'::JSONB AS told, '00000000-0000-0000-0000-000000000001'::UUID AS id, NULL AS nothing, "
        "INTERVAL '1 month' AS months FROM issues WHERE iid <= $most ORDER BY iid"
    )
    full, empty = dataset.sql(text, most=1), dataset.sql(text, most=0)
    assert (len(full), len(empty)) == (1, 0)
    kinds = ["Int64", "boolean", "string", "datetime64[us, UTC]", "timedelta64[us]", "datetime64[us]"]
    kinds += ["datetime64[us]", "object", "Int64", "Float64", "Float64", "string", "string", "string"]
    for frame in (full, empty):
        assert [str(kind) for kind in frame.dtypes][: len(kinds)] == kinds
    row = full.iloc[0]
    assert (row["iid"], row["title"], row["took"]) == (1, "open", pd.Timedelta(seconds=-5))
    assert (row["created_at"], row["day"]) == (pd.Timestamp("2026-05-04T12:00:00Z"), pd.Timestamp("2026-05-04"))
    assert (row["labels"], row["total"], row["half"], row["told"]) == (["bug"], 1.0, 0.5, "{}")
    assert row["id"].endswith("0001")
    assert row["months"].months == 1


def test_only_what_is_no_text_name_or_comment_is_a_parameter(dataset: Dataset) -> None:
    text = """
        SELECT '$x 100%' AS "$x", $tag$it's $x$tag$ AS quoted, E'\\'$x' AS escaped,
            $x AS given, 7 % 4 AS rest -- $x
        /* $x */ WHERE $x::TEXT LIKE 'g%';
    """
    assert dataset.sql(text, x="given").to_dict("list") == {
        "$x": ["$x 100%"],
        "quoted": ["it's $x"],
        "escaped": ["'$x"],
        "given": ["given"],
        "rest": [3],
    }


def test_a_value_is_compared_as_what_it_is_compared_with(dataset: Dataset) -> None:
    found = dataset.sql(
        "SELECT iid FROM issues WHERE updated_at >= $since AND iid = $iid", since="2026-05-04", iid=1
    )
    assert list(found["iid"]) == [1]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM nothing", 'relation "nothing" does not exist'),
        ("SELECT nothing FROM issues", "nothing"),
        ("SELECT $x", "x"),
        ("SELECT 1; SELECT 2", "multiple commands"),
        ("SELECT 1; COMMIT; DROP SCHEMA gitlab CASCADE", "multiple commands"),
        ("", "syntax error"),
        ("DROP VIEW issues", "syntax error"),
        ("WITH gone AS (DELETE FROM main.entities RETURNING 1) SELECT * FROM gone", "data-modifying"),
        ("SELECT set_config('transaction_read_only', 'off', TRUE)", "read-write mode"),
        ("SELECT '1'::TSVECTOR AS words", "column words has a type that no data frame has"),
        ("SELECT 1 / (iid - iid) FROM issues", "division by zero"),
    ],
)
def test_what_is_no_query_is_refused_in_a_sentence_and_changes_nothing(
    dataset: Dataset, query: str, said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        dataset.sql(query)
    assert len(dataset.issues()) == 2, "it goes on"


def test_others_with_select_on_the_schema_alone_read_all_of_it(postgres: PostgresServer, database: str) -> None:
    """As docs/data.md says it, from a session in another zone."""
    with psycopg.connect(postgres.url(database), autocommit=True) as owner:
        owner.execute("CREATE ROLE analysts LOGIN PASSWORD 'reads'")
        owner.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO analysts")
        owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO analysts")
        url = postgres.url(database).replace(f"ledger:{PASSWORD}", "analysts:reads")
        try:
            with psycopg.connect(url, options="-c TimeZone=America/New_York -c DateStyle=ISO,DMY") as theirs:
                for view in views():
                    assert theirs.execute(f"SELECT * FROM {SCHEMA}.{view}").fetchall() != []
                assert theirs.execute(
                    f"SELECT created_at AT TIME ZONE 'UTC' = '2026-05-04 12:00'::TIMESTAMP FROM {SCHEMA}.issues"
                ).fetchall() == [(True,), (True,)]
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    theirs.execute("SELECT * FROM main.entities")
        finally:
            owner.execute("DROP OWNED BY analysts")
            owner.execute("DROP ROLE analysts")


def test_a_ledger_without_the_views_says_who_makes_them(postgres: PostgresServer, tmp_path: Path) -> None:
    with postgres.temporary() as name:
        ledger = postgres.ledger(name)
        copy_ledger(DuckDBRows(filled_ledger(tmp_path / "ledger.duckdb")), PostgresRows(ledger))
        postgres.execute(name, f"DROP SCHEMA {SCHEMA} CASCADE")
        with open_dataset(postgres.url(name)) as dataset:
            with pytest.raises(LedgerError, match="the next sync makes them"):
                dataset.issues()
            with postgres.ledger(name).write("sync"):
                pass
            assert len(dataset.issues()) == 2
