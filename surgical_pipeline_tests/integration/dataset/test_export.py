"""Tables as files, through the command: what other programs read in them."""

import csv
import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from surgical_pipeline.cli.main import app
from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.export import CELL_CHARACTERS, SHEET_ROWS, replaced, write_csv, write_xlsx
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.dataset.everything import SECRET, filled_ledger
from surgical_pipeline_tests.integration.dataset.given import bring, issue_of

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", ";x", "\n=1"]
HARMLESS = ["a=1", "", "1-2", "'quoted'", 'ünïcode, with "marks"\nand lines']


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBLedger:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURGICAL_LEDGER", str(tmp_path / "ledger.duckdb"))
    return filled_ledger(tmp_path / "ledger.duckdb")


def called(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", *arguments])


def export(*arguments: str) -> str:
    done = called(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def cells_of(path: Path) -> list[tuple[str, str]]:
    """Kind and text of every cell of a workbook's first sheet, and whether there is a formula anywhere."""
    space = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(path) as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314  we wrote it
    assert sheet.findall(".//x:f", space) == []
    return [(cell.get("t", "n"), "".join(cell.itertext())) for cell in sheet.findall(".//x:c", space)]


@pytest.mark.usefixtures("filled")
def test_each_format_has_the_rows_of_the_table() -> None:
    for name in ("issues.csv", "issues.json", "issues.parquet", "issues.xlsx"):
        assert "issues: 1 rows" in export("issues", "--to", name)
    with Path("issues.csv").open(newline="") as file:
        (from_csv,) = csv.DictReader(file)
    (from_json,) = json.loads(Path("issues.json").read_text())
    (from_parquet,) = pq.read_table("issues.parquet").to_pylist()
    assert (from_csv["iid"], from_csv["labels"], from_csv["weight"]) == ("1", "bug", "")
    assert from_csv["created_at"] == from_json["created_at"] == "2026-05-04T12:00:00Z"
    assert (from_json["iid"], from_json["labels"], from_json["weight"]) == (1, ["bug"], None)
    assert from_parquet["created_at"].isoformat() == "2026-05-04T12:00:00+00:00"
    cells = cells_of(Path("issues.xlsx"))
    assert ("inlineStr", "open") in cells
    assert ("n", "1") in cells


@pytest.mark.usefixtures("filled")
def test_several_tables_are_sheets_lists_or_files() -> None:
    export("issues", "notes", "--to", "all.json")
    assert {name: len(rows) for name, rows in json.loads(Path("all.json").read_text()).items()} == {
        "issues": 1,
        "notes": 1,
    }
    export("issues", "notes", "--to", "all.xlsx")
    with zipfile.ZipFile("all.xlsx") as book:
        assert b'name="issues"' in book.read("xl/workbook.xml")
        assert b'name="notes"' in book.read("xl/workbook.xml")
    told = json.loads(export("issues", "notes", "--to", "{table}.parquet", "--json"))
    assert (told["files"], told["rows"]) == (["issues.parquet", "notes.parquet"], {"issues": 1, "notes": 1})


@pytest.mark.usefixtures("filled")
def test_confidential_rows_are_exported_on_request_only() -> None:
    every = ["issues", "notes", "documents", "label_spans", "outcomes", "all_issues"]
    export(*every, "--to", "{table}.json")
    assert [name for name in every if SECRET in Path(f"{name}.json").read_text()] == []
    export(*every, "--to", "{table}.json", "--include-confidential", "--force")
    assert [name for name in every if SECRET not in Path(f"{name}.json").read_text()] == []


def test_a_published_copy_is_exported_if_there_is_one(
    filled: DuckDBLedger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(filled, tmp_path / "published")
    bring(filled, issue_of(9))
    monkeypatch.setenv("SURGICAL_PUBLISH", str(tmp_path / "published"))
    done = called("issues", "--to", "issues.csv", "--include-confidential")
    assert "issues: 1 rows" in done.stdout
    assert "from published version 1, made 0 seconds ago" in done.stdout.replace("1 seconds", "0 seconds")
    assert "the published copy has no confidential issues" in done.stderr


@pytest.mark.usefixtures("filled")
def test_stdout_has_the_rows_and_nothing_else() -> None:
    done = called("issues", "--to", "-", "--format", "json")
    assert json.loads(done.stdout)[0]["iid"] == 1
    assert "issues: 1 rows" in done.stderr
    assert next(csv.reader(io.StringIO(export("issues", "--to", "-", "--format", "csv"))))[0] == "project"


def test_filters_are_those_of_the_columns(filled: DuckDBLedger) -> None:
    bring(filled, issue_of(5, labels=["ui", "bug"], updated_at="2026-07-01T00:00:00Z", state="closed"))
    for option in (["--label", "ui"], ["--updated-after", "2026-06-01"], ["--state", "closed"]):
        found = json.loads(export("issues", "--to", "-", "--format", "json", *option))
        assert [row["iid"] for row in found] == [5]
    assert json.loads(export("issues", "--to", "-", "--format", "json", "--project", "acme/none")) == []
    assert export("issues", "--to", "-", "--format", "csv", "--project", "acme/none").count("\n") == 1


@pytest.mark.parametrize("text", FORMULAS)
def test_foreign_text_becomes_no_formula_in_csv(text: str) -> None:
    table = pa.table({"text": [text], "list": [[text]], "number": [-1]})
    stream = io.StringIO()
    write_csv({"x": table}, stream)
    written = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[1]
    assert written == [f"'{text}", f"'{text}", "-1"]
    stream = io.StringIO()
    write_csv({"x": table}, stream, as_written=True)
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[1] == [text, text, "-1"]


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_written_as_it_is(text: str) -> None:
    stream = io.StringIO()
    write_csv({"x": pa.table({"text": [text], "more": ["x"]})}, stream)
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[1] == [text, "x"]


def test_foreign_text_becomes_no_formula_and_no_link_in_a_workbook(tmp_path: Path) -> None:
    texts = [*FORMULAS[:4], "{=SUM(A1)}", "https://gitlab.test", "internal:Sheet1!A1", "mailto:a@b.test"]
    write_xlsx({"x": pa.table({"text": texts})}, tmp_path / "x.xlsx")
    assert cells_of(tmp_path / "x.xlsx")[1:] == [("inlineStr", text) for text in texts]
    with zipfile.ZipFile(tmp_path / "x.xlsx") as book:
        assert [name for name in book.namelist() if "_rels/sheet" in name] == []


def test_what_a_cell_cannot_hold_is_cut_and_told(filled: DuckDBLedger) -> None:
    bring(filled, issue_of(5, description="long " * 20_000))
    assert "1 texts were too long for a cell" in called("issues", "--to", "x.xlsx").stderr
    longest = max(len(text) for _, text in cells_of(Path("x.xlsx")))
    assert longest == CELL_CHARACTERS


def test_more_rows_than_a_sheet_holds_are_refused(tmp_path: Path) -> None:
    table = pa.table({"x": pa.nulls(SHEET_ROWS + 1)})
    with pytest.raises(DatasetError, match="write parquet or csv"):
        write_xlsx({"notes": table}, tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["isues", "--to", "x.csv"], "did you mean issues"),
        (["issues", "--to", "x.txt"], "let it end in parquet, csv, xlsx, json"),
        (["issues", "notes", "--to", "x.csv"], "csv holds one table: write {table}.csv"),
        (["issues", "--to", "-"], "--format csv or --format json"),
        (["issues", "--to", "-", "--format", "xlsx"], "--format csv or --format json"),
        (["issues", "--to", "x.csv", "--format", "csv"], "a file's name says its format"),
        (["issues", "--to", "nowhere/x.csv"], "does not exist: create it first"),
        (["issues", "--to", "taken.csv"], "exists: name another file, or replace it with --force"),
        (["runs", "--label", "bug", "--to", "x.csv"], "no column of runs 'labels'"),
        (["issues", "--updated-after", "soon", "--to", "x.csv"], "is no time"),
        (["issues", "--to", "x.json", "--as-written"], "--as-written is for csv"),
    ],
)
@pytest.mark.usefixtures("filled")
def test_wrong_usage_is_told_and_writes_nothing(arguments: list[str], said: str) -> None:
    Path("taken.csv").write_text("mine")
    before = sorted(Path().iterdir())
    done = called(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert sorted(Path().iterdir()) == before
    assert Path("taken.csv").read_text() == "mine"


def test_an_export_that_fails_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("before")
    with pytest.raises(OSError, match="full"), replaced(path) as partial:
        partial.write_text("half")
        raise OSError("full")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])


def test_without_a_ledger_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURGICAL_LEDGER", str(tmp_path / "none.duckdb"))
    done = called("issues", "--to", "x.csv")
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "There is no ledger" in done.stderr
