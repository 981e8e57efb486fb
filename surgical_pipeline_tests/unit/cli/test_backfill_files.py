"""`backfill --from-file`: CSV, Parquet and text, and where in them something is wrong."""

from pathlib import Path

import pandas as pd
import pytest

from surgical_pipeline.cli.backfill_files import read_file
from surgical_pipeline.domain.scope import ScopeError

COLUMNS = "project,type,iid\n"


@pytest.fixture(autouse=True)
def a_gitlab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_URL", "https://gitlab.example.com")


def scopes(path: Path, text: str | bytes, *, project: str | None = None) -> list[str]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [str(scope) for scope in read_file(str(path), project=project)]


def test_columns_name_entities_of_several_projects(tmp_path: Path) -> None:
    rows = "acme/rocket,issue,3\nacme/other,merge_request,5\nacme/rocket,issue,1\nacme/rocket,MR,2\n"
    assert scopes(tmp_path / "list.csv", COLUMNS + rows) == ["acme/rocket#1+3!2", "acme/other!5"]


@pytest.mark.parametrize("word", ["Issue", "issues", "WorkItem", "work_item"])
def test_gitlabs_own_words_for_the_type_are_understood(tmp_path: Path, word: str) -> None:
    assert scopes(tmp_path / "list.csv", f"{COLUMNS}acme/rocket,{word},3\n") == ["acme/rocket#3"]


@pytest.mark.parametrize("column", ["reference", "web_url", "Reference "])
def test_one_column_may_name_the_whole_entity(tmp_path: Path, column: str) -> None:
    rows = f"title,{column}\nSome,acme/rocket#3\nMore,https://gitlab.example.com/acme/rocket/-/merge_requests/5\n"
    assert scopes(tmp_path / "list.csv", rows) == ["acme/rocket#3!5"]


def test_rows_without_a_project_belong_to_the_commands(tmp_path: Path) -> None:
    assert scopes(tmp_path / "list.csv", "type,iid\nissue,3\n", project="acme/rocket") == ["acme/rocket#3"]
    mixed = f"{COLUMNS},issue,3\nacme/other,issue,4\n"
    assert scopes(tmp_path / "list.csv", mixed, project="acme/rocket") == ["acme/rocket#3", "acme/other#4"]


def test_parquet_has_the_same_columns_as_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"project": ["acme/rocket"] * 3, "type": ["issue"] * 3, "iid": [1, 2, 9]})
    frame.to_parquet(tmp_path / "list.bin")
    assert [str(scope) for scope in read_file(str(tmp_path / "list.bin"), project=None)] == ["acme/rocket#1+2+9"]


def test_a_column_with_missing_numbers_still_has_whole_ones(tmp_path: Path) -> None:
    frame = pd.DataFrame({"project": ["acme/rocket", None], "type": ["issue", None], "iid": [12.0, None]})
    frame.to_parquet(tmp_path / "list.parquet")
    assert [str(scope) for scope in read_file(str(tmp_path / "list.parquet"), project=None)] == ["acme/rocket#12"]


def test_any_other_file_is_a_list_of_texts(tmp_path: Path) -> None:
    lines = "# mine\nacme/rocket#1-3!4\nhttps://gitlab.example.com/acme/other/-/issues/7\n"
    assert scopes(tmp_path / "list.txt", lines) == ["acme/rocket#1-3!4", "acme/other#7"]


@pytest.mark.parametrize(
    ("rows", "place", "why"),
    [
        ("acme/rocket,issue,3\nacme/rocket,epic,4\n", "line 3", "issue or merge_request"),
        ("acme/rocket,issue,3\n\nacme/rocket,issue,x\n", "line 4", "positive whole number"),
        ("acme/rocket,issue,3\nacme/rocket,issue,\n", "line 3", "positive whole number"),
        ("acme/rocket,issue,0\n", "line 2", "an IID lies between"),
        ("acme/rocket,issue,3.5\n", "line 2", "positive whole number"),
        (",issue,3\n", "line 2", "names no project"),
        ("rocket,issue,3\n", "line 2", "a project is group/project"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(tmp_path: Path, rows: str, place: str, why: str) -> None:
    with pytest.raises(ScopeError, match=f"list.csv, {place}: .*{why}"):
        scopes(tmp_path / "list.csv", COLUMNS + rows)


def test_line_ends_inside_a_cell_count(tmp_path: Path) -> None:
    rows = 'project,type,iid,title\nacme/rocket,issue,3,"one\ntwo\nthree"\nacme/rocket,epic,4,x\n'
    with pytest.raises(ScopeError, match="line 5"):
        scopes(tmp_path / "list.csv", rows)


def test_a_wrong_row_of_parquet_is_named_by_its_number(tmp_path: Path) -> None:
    frame = pd.DataFrame({"project": ["acme/rocket"] * 2, "type": ["issue", "epic"], "iid": [1, 2]})
    frame.to_parquet(tmp_path / "list.parquet")
    with pytest.raises(ScopeError, match=r"list.parquet, row 2: the type is 'epic'"):
        read_file(str(tmp_path / "list.parquet"), project=None)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("list.csv", b"a,b\n1,2\n", "it needs the columns project, type and iid"),
        ("list.csv", b"", "cannot be read as CSV"),
        ("list.csv", b"project,type,iid\nacme/rocket,issue,3,4,5\n", "line 2"),
        ("list.csv", b"project,type,iid\nacme/rocket,issue,\xff\n", "cannot be read as CSV"),
        ("list.csv", b"project,type,iid\n", "names no issue or merge request"),
        ("list.bin", b"PAR1nonsense", "cannot be read as Parquet"),
        ("list.txt", b"", "names no issue or merge request"),
        ("list.txt", b"acme/rocket#1\nnonsense\n", "line 2: a project is group/project"),
        ("list.txt", b"https://elsewhere.example.com/a/b/-/issues/1\n", "line 1: .*does not lie in"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    with pytest.raises(ScopeError, match=f"{name}.*{why}"):
        scopes(tmp_path / name, content)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScopeError, match="No such file"):
        read_file(str(tmp_path / "none.csv"), project=None)
