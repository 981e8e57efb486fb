"""Ours merged into somebody's code location: theirs stays as it is, and a prefix makes room for our keys."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.definitions import code_location, defs
from surgical_pipeline.defs.dagster_runs import BACKFILL_JOB, SYNC_JOB
from surgical_pipeline_tests import merged_location
from surgical_pipeline_tests.merged_location import JOB, LOGGER, merged, theirs
from surgical_pipeline_tests.surroundings import REPOSITORY

OURS = sorted(job.name for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__"))
PREFIXED = """
import json, sys
import dagster as dg
from surgical_pipeline_tests.merged_location import merged
from surgical_pipeline.defs.pruning.ours import ASSET_KEYS
from surgical_pipeline.defs.dagster_runs import partition_tags

def keys(done):
    return sorted({event.asset_key.to_user_string() for event in done.get_asset_materialization_events()})

def checks(done):
    return sorted({check.asset_key.to_user_string() for check in done.get_asset_check_evaluations()})

def logged(instance, run_id, kind):
    entries = instance.all_logs(run_id, of_type=kind)
    return sorted({entry.get_dagster_event().asset_key.to_user_string() for entry in entries})

scope = "acme/rocket#12"
with dg.DagsterInstance.get() as instance:
    sync = merged.resolve_job_def("surgical_sync_job").execute_in_process(
        run_config={"ops": {"surgical_sync": {"config": {"scope": scope}}}}, instance=instance
    )
    instance.add_dynamic_partitions("scopes", [scope])
    chunk = merged.resolve_job_def("surgical_backfill_job").execute_in_process(
        partition_key=scope, instance=instance
    )
    report = merged.resolve_job_def("report_job").execute_in_process(instance=instance)
    everything = merged.get_repository_def().asset_graph.get_all_asset_keys()
    print(json.dumps({
        "all": sorted(key.to_user_string() for key in everything),
        "kept": sorted(key.to_user_string() for key in ASSET_KEYS),
        "sync": keys(sync), "checks": checks(sync), "report": keys(report),
        "chunk": logged(instance, chunk.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION),
    }))
"""
TABLES = ["documents", "embeddings", "gitlab/discussions", "gitlab/issues", "gitlab/merge_requests"]
TABLES += ["gitlab/resource_events"]


def test_what_is_theirs_is_as_it_was() -> None:
    repository = merged.get_repository_def()
    their_job = repository.get_job(JOB)
    assert their_job.executor_def is dg.multiprocess_executor
    assert list(their_job.loggers) == [LOGGER]
    assert (
        their_job.resource_defs["io_manager"]
        is theirs.get_repository_def().get_job(JOB).resource_defs["io_manager"]
    )
    assert merged.resolve_implicit_global_asset_job_def().executor_def is dg.multiprocess_executor
    assert repository.get_sensor_def("their_sensor").job_name == JOB


@pytest.mark.parametrize("job", OURS)
def test_our_jobs_keep_their_one_process_and_ask_for_nothing_of_theirs(job: str) -> None:
    found = merged.resolve_job_def(job)
    assert found.executor_def is dg.in_process_executor
    assert {key for key in found.required_resource_keys if not key.startswith("surgical_")} <= {"watch"}


def test_a_code_location_of_our_own_has_one_process_on_the_assets_page_too() -> None:
    whole = code_location()
    assert whole.resolve_implicit_global_asset_job_def().executor_def is dg.in_process_executor
    assert {job.name for job in whole.get_repository_def().get_all_jobs()} == {
        job.name for job in defs.get_repository_def().get_all_jobs()
    }


def test_a_log_of_theirs_is_left_alone() -> None:
    """In another process: this one may have made Dagster's log visible before."""
    text = "\x1b[31mred\x1b[0m"
    program = (
        "import logging, surgical_pipeline_tests.merged_location\n"
        "for name in ('dagster', 'theirs', 'surgical_pipeline.any'):\n"
        f"    logging.getLogger(name).warning({text!r})\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stderr.splitlines()
    assert [line for line in said if "red" in line] == [text, text, "\\x1b[31mred\\x1b[0m"]


def test_a_sync_in_their_location_asks_nothing_of_their_io_manager(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("THEIR_FOLDER", raising=False)  # it could not even be made
    caplog.set_level(logging.CRITICAL)
    with dg.DagsterInstance.get() as instance:
        done = merged.resolve_job_def(SYNC_JOB).execute_in_process(
            run_config=merged_location.run_config({"scope": "acme/rocket#12"}), instance=instance
        )
    assert done.success
    assert (home / "ledger.duckdb").is_file()


def test_with_a_prefix_every_key_of_ours_has_it(home: Path) -> None:
    found = _prefixed(home, "data/raw")
    ours = [f"data/raw/{key}" for key in TABLES]
    assert found["all"] == sorted([*ours, "data/raw/published", "data/raw/report", "documents", "downstream"])
    assert found["kept"] == sorted([*ours, "data/raw/published", "data/raw/report"])
    assert found["sync"] == found["chunk"] == ours
    assert found["checks"] == ["data/raw/documents", "data/raw/embeddings", "data/raw/gitlab/issues"]
    assert found["report"] == ["data/raw/report"]
    assert BACKFILL_JOB in OURS


def _prefixed(home: Path, prefix: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PREFIXED],
        cwd=REPOSITORY,
        env={**os.environ, "SURGICAL_ASSET_KEY_PREFIX": prefix, "THEIR_FOLDER": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
