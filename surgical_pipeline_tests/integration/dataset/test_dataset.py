"""What was synced as DataFrames, from the ledger and from a published copy."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from surgical_pipeline.dataset import Dataset, DatasetError, open_dataset
from surgical_pipeline.dataset.columns import ColumnType
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.dataset.schema import TABLES, views
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerGoneError, LedgerMissingError
from surgical_pipeline.settings import SettingsError
from surgical_pipeline_tests.integration.dataset.everything import filled_ledger
from surgical_pipeline_tests.integration.dataset.given import bring, issue_of
from surgical_pipeline_tests.integration.ledger.examples import run_sql
from surgical_pipeline_tests.signals import LONG_QUERY, soon_interrupted

DTYPES = {
    ColumnType.TEXT: "string",
    ColumnType.INTEGER: "Int64",
    ColumnType.NUMBER: "Float64",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIME: "datetime64[us, UTC]",
    ColumnType.DAY: "datetime64[us]",
    ColumnType.TEXTS: "object",
    ColumnType.VECTOR: "object",
}
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> DuckDBLedger:
    return filled_ledger(tmp_path_factory.mktemp("filled") / "ledger.duckdb")


@pytest.fixture(scope="module")
def copies(filled: DuckDBLedger) -> Path:
    folder = filled.path.with_name("published")
    publish(filled, folder, confidential=True, also=["documents", "embeddings"])
    return folder


@pytest.fixture(params=["ledger", "published"])
def dataset(filled: DuckDBLedger, copies: Path, request: pytest.FixtureRequest) -> Iterator[Dataset]:
    with open_dataset(filled.path if request.param == "ledger" else copies) as opened:
        yield opened


@pytest.mark.parametrize("name", TABLES)
def test_each_table_has_its_dtypes_with_rows_and_without(dataset: Dataset, name: str) -> None:
    columns = TABLES[name].columns
    told = [(column.name, DTYPES[column.type]) for column in columns]
    table = dataset.table(name)
    full, empty = table(), table(web_url="nowhere")
    assert len(full) > 0
    assert len(empty) == 0
    for frame in (full, empty):
        assert [(column, str(dtype)) for column, dtype in frame.dtypes.items()] == told
    assert [column.name for column in table.columns] == [column.name for column in columns]


def test_nulls_and_columns_of_nothing_else_keep_their_dtypes(tmp_path: Path) -> None:
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb")
    bring(ledger, issue_of(1), issue_of(2, weight=3, closed_at="2026-05-04T12:00:00Z", has_tasks=True))
    frame = open_dataset(ledger.path).issues(columns=["iid", "weight", "closed_at", "has_tasks", "epic_title"])
    assert [str(dtype) for dtype in frame.dtypes] == [
        "Int64",
        "Int64",
        "datetime64[us, UTC]",
        "boolean",
        "string",
    ]
    second = frame.set_index("iid").loc[2]
    assert (second["weight"], second["has_tasks"]) == (3, True)
    assert second["closed_at"] == pd.Timestamp("2026-05-04T12:00:00Z")
    assert frame.set_index("iid").loc[1, ["weight", "closed_at", "has_tasks", "epic_title"]].isna().all()


def test_filters_choose_rows(dataset: Dataset) -> None:
    assert list(dataset.issues(project="acme/rocket", labels=["bug"])["iid"]) == [1]
    assert sorted(dataset.issues(iid=[1, 2, 3], updated_after="2026-05-04")["iid"]) == [1, 2]
    assert len(dataset.issues(updated_after=datetime(2027, 1, 1, tzinfo=UTC))) == 0
    assert len(dataset.notes(internal=False, noteable_iid=1)) == 1
    assert dataset.arrow("issues", columns=["iid"], confidential=True).to_pylist() == [{"iid": 2}]


def test_sql_joins_tables_by_their_names_and_binds_values(dataset: Dataset) -> None:
    frame = dataset.sql(
        "SELECT issues.iid, COUNT(*) AS notes, MAX(notes.created_at) - MIN(issues.created_at) AS took "
        "FROM issues JOIN gitlab.notes ON noteable_iid = iid WHERE author_username IS NOT NULL AND iid = $iid "
        "GROUP BY ALL".replace("author_username", "issues.author_username"),
        iid=1,
    )
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "Int64", "timedelta64[us]"]
    assert (frame["iid"][0], frame["notes"][0], frame["took"][0]) == (1, 2, pd.Timedelta(seconds=11))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM nothing", "nothing does not exist"),
        ("SELECT nothing FROM issues", "nothing"),
        ("SELECT", "without selection list"),
        ("SELECT $x", "parameters: x"),
        ("SELECT 1; SELECT 2", "one statement, not 2"),
        ("", "one statement, not 0"),
        ("DROP TABLE issues", "Only queries"),
        ("COPY issues TO '/tmp/never.csv'", "Only queries"),
    ],
)
def test_sql_that_is_no_query_is_refused_in_a_sentence(dataset: Dataset, query: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        dataset.sql(query)
    assert len(dataset.issues()) == 2, "it goes on"


def test_a_name_in_sql_is_never_a_variable_of_the_program(dataset: Dataset) -> None:
    frame = pd.DataFrame({"x": [1]})
    for name in ("frame", "params", "text"):
        with pytest.raises(DatasetError, match=f"{name} does not exist"):
            dataset.sql(f"SELECT * FROM {name}")
    assert len(frame) == 1


def test_ctrl_c_while_a_query_runs_is_an_interrupt(dataset: Dataset) -> None:
    with pytest.raises(KeyboardInterrupt), soon_interrupted():
        dataset.sql(LONG_QUERY)
    assert len(dataset.issues()) > 0


def test_a_table_that_does_not_exist_is_an_attribute_error_with_the_nearest_names(dataset: Dataset) -> None:
    with pytest.raises(AttributeError, match="did you mean issues"):
        _ = dataset.isues
    assert not hasattr(dataset, "_repr_html_")
    assert set(dir(dataset)) >= set(dataset.tables)


def test_times_are_in_utc_whatever_the_machine_says(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, filled: DuckDBLedger
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    frame = open_dataset(filled.path).issues(iid=1)
    assert list(frame["created_at"]) == list(dataset.issues(iid=1)["created_at"])
    assert frame["created_at"][0] == pd.Timestamp("2026-05-04T12:00:00Z")


def test_a_dataset_says_where_it_is_and_how_old(filled: DuckDBLedger, copies: Path) -> None:
    with open_dataset(filled.path) as ledger, open_dataset(copies) as copy:
        assert repr(ledger) == f"<Dataset: the ledger {filled.path}, as it is now>"
        assert (ledger.version, ledger.made_at, ledger.age.total_seconds()) == (None, None, 0)
        assert "published version 1, made" in repr(copy)
        assert (copy.version, copy.age.total_seconds() > 0) == (1, True)


def test_the_ledger_has_deleted_rows_too_and_a_copy_says_that_it_has_none(
    filled: DuckDBLedger, copies: Path
) -> None:
    with open_dataset(filled.path) as ledger, open_dataset(copies) as copy:
        assert ledger.tables == tuple(views())
        assert str(ledger.all_issues()["deleted_at"].dtype) == "datetime64[us, UTC]"
        with pytest.raises(DatasetError, match="no deleted rows: read the ledger"):
            copy.table("all_issues")


def test_the_copy_is_read_if_there_is_one_else_the_ledger(
    filled: DuckDBLedger, copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_LEDGER", str(filled.path))
    assert open_dataset().version is None
    monkeypatch.setenv("SURGICAL_PUBLISH", str(tmp_path / "not yet"))
    assert open_dataset().version is None
    monkeypatch.setenv("SURGICAL_PUBLISH", str(copies))
    assert open_dataset().version == 1
    for path in (copies / "current", copies / "versions" / "1", copies / "current" / "gitlab.duckdb"):
        assert open_dataset(path).version == 1


def test_a_place_with_nothing_to_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="Nothing is published"):
        open_dataset(tmp_path)
    monkeypatch.setenv("SURGICAL_LEDGER", str(tmp_path / "ledger.duckdb"))
    with pytest.raises(LedgerMissingError):
        open_dataset()
    monkeypatch.delenv("SURGICAL_LEDGER")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(SettingsError, match="DAGSTER_HOME is not set"):
        open_dataset()


def test_no_window_stays_open_between_reads(tmp_path: Path) -> None:
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb", lock_timeout_seconds=5)
    bring(ledger, issue_of(1))
    with open_dataset(ledger.path) as dataset:
        frame = dataset.issues()
        with ledger.write("sync") as tx:
            run_sql(tx, "UPDATE entities SET title = 'changed'")
        assert (frame["title"][0], dataset.issues()["title"][0]) == ("T", "changed")


def test_a_ledger_that_is_replaced_is_read_as_it_is_then(tmp_path: Path) -> None:
    """Somebody puts a backup in its place, or moves it away, while a program has a dataset of it."""
    ledger, other = (DuckDBLedger(tmp_path / name) for name in ("ledger.duckdb", "other.duckdb"))
    bring(ledger, issue_of(1))
    bring(other, issue_of(2), issue_of(3))
    other.checkpoint()
    with open_dataset(ledger.path) as dataset:
        assert list(dataset.issues()["iid"]) == [1]
        ledger.path.with_name("ledger.duckdb.wal").unlink(missing_ok=True)
        other.path.rename(ledger.path)
        assert sorted(dataset.issues()["iid"]) == [2, 3]
        ledger.path.unlink()
        with pytest.raises(LedgerGoneError, match="was there and is gone"):
            dataset.issues()


def test_importing_the_package_loads_no_pandas() -> None:
    program = (
        "import sys, surgical_pipeline.dataset as d, surgical_pipeline.dataset.schema\n"
        "print([n for n in ('pandas', 'pyarrow', 'duckdb', 'pydantic') if n in sys.modules])\n"
        "d.open_dataset\nprint([n for n in ('pandas', 'pyarrow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
