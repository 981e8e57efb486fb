import os
from pathlib import Path

import pytest
import typer

from surgical_pipeline.cli.environment import ledger_errors, load_dotenv, usage_errors
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.errors import (
    AmbiguousRunError,
    LedgerError,
    LedgerVersionError,
    LockTimeoutError,
    NotALedgerError,
)
from surgical_pipeline.settings import SettingsError

LEDGER = Path("/somewhere/ledger.duckdb")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a command is started, in an environment that is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"PWD": str(tmp_path), "EXPORTED": "by the shell"})
    return tmp_path


def test_dotenv_sets_what_is_not_exported(folder: Path) -> None:
    (folder / ".env").write_text("# a comment\nEXPORTED=by the file\nGITLAB_URL=https://gitlab.test\nNO_VALUE\n")
    load_dotenv()
    assert os.environ["EXPORTED"] == "by the shell"
    assert os.environ["GITLAB_URL"] == "https://gitlab.test"
    assert "NO_VALUE" not in os.environ


@pytest.mark.parametrize("exported", [True, False])
def test_pwd_in_dotenv_is_the_folder_of_the_command(folder: Path, exported: bool) -> None:
    if not exported:
        del os.environ["PWD"]
    (folder / ".env").write_text("DAGSTER_HOME=${PWD}\n")
    load_dotenv()
    assert os.environ["DAGSTER_HOME"] == str(folder)


def test_a_folder_without_dotenv_changes_nothing(folder: Path) -> None:
    before = dict(os.environ)
    load_dotenv()
    assert os.environ == before
    assert os.environ["PWD"] == str(folder)


def test_wrong_usage_is_exit_code_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, usage_errors():
        Scope.parse("acme/rocket#9-3")
    assert ended.value.exit_code == 2
    with pytest.raises(typer.Exit) as ended, usage_errors():
        raise SettingsError("GITLAB_URL is not set")
    assert ended.value.exit_code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: the range 9-3 runs backwards")
    assert second == "Error: GITLAB_URL is not set"


@pytest.mark.parametrize(
    ("error", "before_a_run", "while_reading"),
    [
        (LedgerVersionError(LEDGER, found=9, known=1, needed=9), 2, 1),
        (NotALedgerError(LEDGER, "no database"), 2, 1),
        (LedgerError("the disk is full"), 2, 1),
        (AmbiguousRunError("a", ("ab", "ac")), 2, 2),
        (LockTimeoutError(LEDGER, 60), 1, 1),
    ],
)
def test_a_ledger_error_is_wrong_usage_only_where_the_person_named_the_wrong_thing(
    error: LedgerError, before_a_run: int, while_reading: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for code, exit_code in ((2, before_a_run), (1, while_reading)):
        with pytest.raises(typer.Exit) as ended, ledger_errors(code):
            raise error
        assert ended.value.exit_code == exit_code
        assert capsys.readouterr().err == f"Error: {error}\n"
