"""`surgical-pipeline backfill` refuses nonsense before anything is launched."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from surgical_pipeline_tests.acceptance.installation import called

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


def test_a_plan_of_nothing_is_no_error() -> None:
    done = called("backfill", "acme/rocket", "--updated-after", "2999-01-01", "--local")
    assert (done.exit_code, done.stdout) == (0, "There is nothing to do.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["acme/rocket"], "say what of the project"),
        (["acme/rocket", "--issues", "1-x"], "an IID is a positive whole number"),
        (["acme/rocket", "--issues", "1", "--all"], "one of these"),
        (["acme/rocket", "--issues", "1", "--updated-after", "soon"], "--updated-after must be a date"),
        (["nonsense", "--all"], "a project is group/project"),
        (["--issues", "1"], "name the project"),
        (["acme/rocket", "--from-file", "none.csv"], "No such file"),
        (["acme/rocket", "--issues", "1", "--chunk", "1001"], "chunk"),
        (["status", "nonsense"], "no backfill begins with 'nonsense'"),
        (["cancel", ""], "no backfill begins with ''"),
        (["prune", "nonsense"], "no backfill begins with"),
        (["resume", "nonsense"], "no backfill begins with"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(arguments: Sequence[str], sentence: str) -> None:
    done = called("backfill", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in " ".join(done.stderr.replace("│", " ").split())


def test_a_project_that_gitlab_does_not_show_is_refused_before_anything_runs(home: Path) -> None:
    done = called("backfill", "acme/none", "--all", "--local")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "PROJECT_NOT_FOUND" in done.stderr
    assert not (home / "ledger.duckdb").exists()
