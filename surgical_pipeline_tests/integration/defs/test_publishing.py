"""The asset, its job and the sensor, as Dagster runs them; and the command, which does without Dagster."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.dataset import open_dataset
from surgical_pipeline.dataset.versions import version_numbers
from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.sensors.publish import due_again
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.dataset.everything import filled_ledger
from surgical_pipeline_tests.integration.dataset.given import bring, issue_of
from surgical_pipeline_tests.integration.ledger.examples import start

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv("SURGICAL_PUBLISH", str(home / "published"))
    return home / "published"


@pytest.fixture
def filled(folder: Path) -> DuckDBLedger:
    return filled_ledger(folder.with_name("ledger.duckdb"))


def materialized(*, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.get() as instance:
        return defs.resolve_job_def("published").execute_in_process(
            instance=instance, raise_on_error=raise_on_error
        )


def ticked(cursor: str | None = None) -> tuple[list[dg.RunRequest], str | None, str]:
    """What a tick asks for, the cursor after it, and why it asks for nothing."""
    with dg.DagsterInstance.get() as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        data: Any = defs.resolve_sensor_def("publish").evaluate_tick(context)
    return list(data.run_requests or ()), data.cursor, data.skip_message or ""


@pytest.mark.usefixtures("filled")
def test_the_job_publishes_and_its_metadata_tells_what(folder: Path) -> None:
    result = materialized()
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert (metadata["version"].value, metadata["last run"].value) == (1, "run-1")
    assert metadata["rows"].value["issues"] == 1  # type: ignore[index,call-overload]
    with open_dataset(folder) as dataset:
        assert dataset.version == 1


@pytest.mark.usefixtures("filled", "folder")
def test_a_job_that_cannot_publish_fails_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, said in (("", "SURGICAL_PUBLISH is not set"), ("/proc/x", "could not be written")):
        monkeypatch.setenv("SURGICAL_PUBLISH", value)
        result = materialized(raise_on_error=False)
        (failed,) = [event for event in result.all_events if event.is_step_failure]
        told = failed.step_failure_data.user_failure_data
        assert told is not None
        assert said in str(told.description)


@pytest.mark.usefixtures("folder")
def test_the_sensor_asks_when_the_ledger_has_changed(
    filled: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_PUBLISH_SECONDS", "0.001")
    requests, cursor, _ = ticked()
    assert (len(requests), requests[0].tags["surgical/background"]) == (1, "true")
    assert cursor is not None
    materialized()
    assert "as version 1 has it" in ticked()[2]
    start(filled, "run-2", "acme/rocket#1").finish_cancelled()
    assert len(ticked(cursor)[0]) == 1


@pytest.mark.usefixtures("folder")
def test_the_sensor_asks_no_more_often_than_it_is_told_to(filled: DuckDBLedger) -> None:
    materialized()
    start(filled, "run-2", "acme/rocket#1").finish_cancelled()
    assert "The last publish is recent" in ticked()[2]
    just_now = datetime.now(UTC).isoformat()
    assert "The last publish is recent" in ticked(just_now)[2]


@pytest.mark.usefixtures("filled", "folder")
def test_the_sensor_does_not_wait_when_more_is_published_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGICAL_PUBLISH_CONFIDENTIAL", "true")
    materialized()
    monkeypatch.delenv("SURGICAL_PUBLISH_CONFIDENTIAL")
    assert len(ticked()[0]) == 1


def test_the_sensor_asks_for_nothing_without_folder_or_ledger(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SURGICAL_PUBLISH is not set" in ticked()[2]
    monkeypatch.setenv("SURGICAL_PUBLISH", str(home / "published"))
    assert "nothing yet" in ticked()[2]


@pytest.mark.usefixtures("filled", "folder")
def test_the_sensor_waits_for_a_publish_that_is_under_way() -> None:
    with dg.DagsterInstance.get() as instance:
        instance.create_run_for_job(job_def=defs.resolve_job_def("published"), status=dg.DagsterRunStatus.STARTED)
    assert "under way" in ticked()[2]


@pytest.mark.parametrize(
    ("made", "asked", "due"),
    [
        (None, None, None),
        (NOW, None, NOW + timedelta(seconds=300)),
        (None, NOW, NOW + timedelta(seconds=300)),
        (NOW, NOW + timedelta(seconds=9), NOW + timedelta(seconds=309)),
    ],
)
def test_the_next_publish_is_due_after_the_last_one_or_the_last_ask(
    made: datetime | None, asked: datetime | None, due: datetime | None
) -> None:
    assert due_again(made, asked, every=timedelta(seconds=300)) == due


def test_the_command_publishes_and_prints_one_document(filled: DuckDBLedger, folder: Path) -> None:
    done = CliRunner().invoke(app, ["publish", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["version"], document["rows"]["issues"], document["confidential"]) == (1, 1, False)
    assert Path(document["path"]) == folder / "versions" / "1"
    bring(filled, issue_of(9))
    said = CliRunner().invoke(app, ["publish"])
    assert f"version 2 in {folder / 'versions' / '2'}" in said.stdout
    assert version_numbers(folder) == [1, 2]


@pytest.mark.parametrize(
    ("name", "value", "code", "said"),
    [
        ("SURGICAL_PUBLISH", "", 2, "SURGICAL_PUBLISH is not set"),
        ("SURGICAL_PUBLISH", "/nowhere/at/all", 2, "create it first"),
        ("SURGICAL_PUBLISH", "/proc/x", 1, "could not be written"),
        ("SURGICAL_PUBLISH", "dagster.yaml", 2, "is a file"),
        ("SURGICAL_PUBLISH_CONFIDENTIAL", "perhaps", 2, "must be true or false"),
        ("SURGICAL_PUBLISH_WITH", "secrets", 2, "may name documents,embeddings"),
        ("SURGICAL_LEDGER", "none.duckdb", 1, "there is no ledger"),
    ],
)
@pytest.mark.usefixtures("filled", "folder")
def test_a_command_that_cannot_publish_says_why(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, code: int, said: str
) -> None:
    monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["publish"])
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr.replace("\n", " ")
