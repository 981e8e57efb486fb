"""`examples/dbt` on a published copy: dbt in an environment of its own, its tests, and the rows that it makes."""

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.dataset import open_dataset
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.own_environment import own_environment
from surgical_pipeline_tests.surroundings import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "dbt"


@pytest.fixture(scope="module")
def dbt() -> Path:
    """Not skipped where the packages cannot be had: the example would be one that nobody has run."""
    return own_environment("dbt", EXAMPLE / "requirements.txt") / "dbt"


@pytest.fixture
def copies(home: Path, sync: Sync, ledger: DuckDBLedger) -> Path:
    sync("acme/rocket#12-16!34")
    publish(ledger, home / "copies")
    return home / "copies"


def build(dbt: Path, copies: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """As its README says, but with its files in a folder of the test."""
    project = folder / "project"
    if not project.exists():
        shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("target", "logs", "*.duckdb"))
    return subprocess.run(
        [str(dbt), "build", "--profiles-dir", ".", "--no-use-colors"],
        cwd=project,
        env={**os.environ, "SURGICAL_PUBLISH": str(copies)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_models_and_tests_are_green_and_hold_what_was_published(dbt: Path, copies: Path, home: Path) -> None:
    done = build(dbt, copies, home)
    assert done.returncode == 0, done.stdout
    assert "ERROR=0" in done.stdout
    with open_dataset(copies) as dataset:
        closed = dataset.issues(state="closed")
        spans = dataset.table("label_spans")(noteable_type="Issue")
        notes = dataset.notes(noteable_type="Issue", system=False)
    with duckdb.connect(str(home / "project" / "analytics.duckdb"), read_only=True) as made:
        rows = made.execute("SELECT iid, days_to_close, notes FROM closed_issues ORDER BY iid").fetchall()
        labels = made.execute("SELECT label_name, issues FROM days_in_label ORDER BY label_name").fetchall()
    assert rows
    assert [iid for iid, _, _ in rows] == sorted(closed["iid"])
    for iid, days, count in rows:
        issue = closed[closed["iid"] == iid].iloc[0]
        assert days == pytest.approx((issue["closed_at"] - issue["created_at"]).total_seconds() / 86400, abs=1e-4)
        assert count == int((notes["noteable_iid"] == iid).sum())
    assert labels == sorted(spans.groupby("label_name")["noteable_iid"].nunique().items())


def test_a_copy_that_breaks_what_a_model_promises_is_found(dbt: Path, copies: Path, home: Path) -> None:
    """The tests of the example can fail."""
    file = copies / "current" / "gitlab.duckdb"
    file.chmod(0o600)
    with duckdb.connect(str(file)) as copy:
        copy.execute("UPDATE issues SET closed_at = created_at - INTERVAL 1 DAY WHERE state = 'closed'")
    done = build(dbt, copies, home)
    assert done.returncode == 1
    assert "nothing_closes_before_it_opens" in done.stdout
