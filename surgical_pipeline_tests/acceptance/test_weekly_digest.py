"""`examples/weekly_digest`, as somebody's code location: it loads, runs by itself, and shows no markup."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from weekly_digest.definitions import defs
from weekly_digest.digest import SHOWN

from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.dataset.given import bring, issue_of
from surgical_pipeline_tests.surroundings import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "weekly_digest"
HOSTILE = "# <img src=x onerror=alert(1)> ![x](https://evil.test/x.png)\n[click](javascript:alert(1)) **b**"
MONDAY = datetime(2026, 5, 4, 7, tzinfo=UTC)


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv("SURGICAL_PUBLISH", str(home / "published"))
    return home / "published"


def materialized(*names: str, **config: Any) -> dict[str, Any]:
    """The metadata of both assets, by name."""
    job = defs.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in names],
            run_config={"ops": {"weekly_digest": {"config": config}}} if config else {},
        )
    made = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return {
        one.asset_key.to_user_string(): {key: value.value for key, value in one.metadata.items()} for one in made
    }


def test_both_assets_are_made_of_what_was_synced_and_published(
    sandbox: RunningSandbox, sync: Sync, ledger: DuckDBLedger, folder: Path
) -> None:
    sandbox.control.update_issue(12, title=HOSTILE, state="closed")
    sync("acme/rocket#12-30!31-36")
    publish(ledger, folder)
    until = datetime.now(UTC) + timedelta(days=1)
    told = materialized("label_times", "weekly_digest", until=until.isoformat())
    times, digest = told["label_times"], told["weekly_digest"]
    assert times["labels"] == len(times["median days"].records) > 3
    assert times["plot"].startswith("![median days in each label](data:image/png;base64,")
    assert len(times["plot"]) < 100_000
    assert digest["closed"] >= 1
    lines = digest["digest"].splitlines()
    assert lines[0].startswith("# GitLab from ")
    (line,) = [line for line in lines if "acme/rocket#12]" in line]
    assert line.startswith("- [acme/rocket#12](https://")
    assert r"\<img src=x onerror=alert(1)\> \!\[x\]" in line
    assert r"\[click\](javascript:alert(1)) \*\*b\*\*" in line
    assert "## Longest in a label, median" in lines


def test_a_digest_of_many_names_the_first_and_links_only_to_addresses(ledger: DuckDBLedger, folder: Path) -> None:
    closed = {"state": "closed", "created_at": "2026-05-01T12:00:00Z", "closed_at": "2026-05-03T12:00:00Z"}
    bring(
        ledger,
        *(
            issue_of(iid, web_url="javascript:alert(1)", references={"full": f"a/b#{iid}"}, **closed)
            for iid in range(1, 26)
        ),
    )
    publish(ledger, folder)
    told = materialized("label_times", "weekly_digest", until=MONDAY.isoformat())
    assert (told["label_times"]["labels"], "plot" in told["label_times"]) == (0, False)
    digest = told["weekly_digest"]["digest"]
    assert "25 issues opened, 25 closed." in digest
    assert (digest.count("\n- a/b#"), f"- and {25 - SHOWN} more" in digest) == (SHOWN, True)
    assert "javascript" not in digest
    before = materialized("label_times", "weekly_digest", until="2026-05-02")
    assert "25 issues opened, 0 closed." in before["weekly_digest"]["digest"]


def test_they_follow_a_publish_by_themselves(ledger: DuckDBLedger, folder: Path) -> None:
    bring(ledger, issue_of(1))
    publish(ledger, folder)
    with dg.DagsterInstance.get() as instance:

        def asked(cursor: Any, now: datetime) -> tuple[set[str], Any]:
            result = dg.evaluate_automation_conditions(
                defs=defs, instance=instance, cursor=cursor, evaluation_time=now
            )
            names = {
                name for name in ("label_times", "weekly_digest") if result.get_num_requested(dg.AssetKey(name))
            }
            return names, result.cursor

        def happened(name: str) -> None:
            instance.report_runless_asset_event(dg.AssetMaterialization(name))

        names, cursor = asked(None, MONDAY - timedelta(minutes=10))
        assert names == set()
        happened("published")
        names, cursor = asked(cursor, MONDAY - timedelta(minutes=5))
        assert names == {"label_times"}
        happened("label_times")
        names, cursor = asked(cursor, MONDAY + timedelta(minutes=1))
        assert names == set(), "nothing newer is published since Monday, 7:00"
        for name in ("published", "label_times"):
            happened(name)
        names, cursor = asked(cursor, MONDAY + timedelta(minutes=10))
        assert "weekly_digest" in names


def test_it_starts_from_its_folder_as_its_readme_says(home: Path) -> None:
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), "definitions", "validate"],
        cwd=EXAMPLE,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
