"""Where a run comes from is visible in Dagster, however it was made; and what is for programs is hidden."""

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline_tests.conftest import Sync

HIDDEN = {".dagster/surgical_ledger"}
OF_THE_COMMAND_LINE = {".dagster/surgical_host", ".dagster/surgical_pid", ".dagster/surgical_process"}


def tags_of(run_id: str) -> dict[str, str]:
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    return dict(run.tags)


def ours(tags: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name.startswith("surgical/")}


def hidden(tags: dict[str, str]) -> set[str]:
    return {name for name in tags if name.startswith(".dagster/surgical")}


def test_a_run_of_the_command_line_says_what_it_is_about(sync: Sync) -> None:
    tags = tags_of(sync("acme/rocket#12").run_id)
    assert ours(tags) == {
        "surgical/trigger": "cli",
        "surgical/project": "acme/rocket",
        "surgical/scope": "acme/rocket#12",
        "surgical/outcome": "succeeded",
    }
    assert hidden(tags) == HIDDEN | OF_THE_COMMAND_LINE


@pytest.mark.usefixtures("home")
def test_a_run_of_the_launchpad_gets_its_tags_when_it_begins() -> None:
    block = {"project": "acme/rocket", "issue_iids": [12], "mr_iids": []}
    with dg.DagsterInstance.get() as instance:
        done = defs.resolve_job_def("surgical_sync_job").execute_in_process(
            run_config={"ops": {"surgical_sync": {"config": block}}}, instance=instance
        )
    tags = tags_of(done.run_id)
    assert ours(tags) == {
        "surgical/trigger": "launchpad",
        "surgical/project": "acme/rocket",
        "surgical/scope": "acme/rocket#12",
        "surgical/outcome": "succeeded",
    }
    assert tags["dagster/priority"] == "10"
    assert hidden(tags) == HIDDEN


def test_backfills_leave_a_slot_free_and_wait_for_people() -> None:
    tags = defs.resolve_job_def("surgical_backfill_job").run_tags
    assert (tags["surgical/background"], tags["dagster/priority"]) == ("true", "-10")
