import dagster as dg
import pytest

from surgical_pipeline.defs.dagster_runs import (
    BACKGROUND,
    LEDGER_TAG,
    NOT_FINISHED,
    Origin,
    events_upto_of,
    hidden_tag,
    missing_tags,
    mode_of,
    priority_of,
    scope_tags,
    trigger_of,
    worker_of,
    worker_tags,
)
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.gitlab.pacing import Priority
from surgical_pipeline.ledger.process import ProcessIdentity

# Dagster makes no queued run without a code location.
STATUSES = [status for status in dg.DagsterRunStatus if status is not dg.DagsterRunStatus.QUEUED]


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_not_finished_where_dagster_says_that_a_run_is_not(status: dg.DagsterRunStatus) -> None:
    run = dg.DagsterRun(job_name="any", status=status)
    assert (status in NOT_FINISHED) is not run.is_finished


def test_a_queued_run_is_not_finished() -> None:
    assert dg.DagsterRunStatus.QUEUED in NOT_FINISHED


def tagged(**tags: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="any", tags={name.replace("__", "/"): value for name, value in tags.items()})


@pytest.mark.parametrize(
    ("tags", "trigger", "mode"),
    [
        ({}, Trigger.LAUNCHPAD, RunMode.SURGICAL),
        ({"surgical__trigger": "cli"}, Trigger.CLI, RunMode.SURGICAL),
        ({"surgical__trigger": "sensor"}, Trigger.SENSOR, RunMode.INCREMENTAL),
        *[({"surgical__trigger": str(origin)}, Trigger.SENSOR, RunMode.INCREMENTAL) for origin in Origin],
        ({"surgical__trigger": "a word of a person"}, Trigger.LAUNCHPAD, RunMode.SURGICAL),
        ({"dagster__sensor_name": "any"}, Trigger.SENSOR, RunMode.INCREMENTAL),
        ({"dagster__backfill": "x", "dagster__partition": "a/b#1"}, Trigger.BACKFILL, RunMode.BACKFILL),
    ],
)
def test_tags_say_who_made_a_run_and_why(tags: dict[str, str], trigger: Trigger, mode: RunMode) -> None:
    run = tagged(**tags)
    assert (trigger_of(run), mode_of(run)) == (trigger, mode)


@pytest.mark.parametrize(
    ("text", "upto"), [("1 event, up to 352", 352), ("4 events, attempt 2, up to 7", 7), ("odd", None), ("", None)]
)
def test_the_tag_of_events_ends_with_the_number_up_to_which_they_are_taken(text: str, upto: int | None) -> None:
    assert events_upto_of(tagged(surgical__events=text)) == upto
    assert events_upto_of(tagged()) is None


def test_a_scope_by_id_is_shown_by_its_path_and_shortened() -> None:
    assert scope_tags(Scope.parse("7#1-3!4"), "acme/rocket") == {
        "surgical/project": "acme/rocket",
        "surgical/scope": "acme/rocket#1-3!4",
    }
    long = Scope.of("acme/rocket", issue_iids=range(1, 400, 2))
    shown = scope_tags(long)["surgical/scope"]
    assert len(shown) == 200
    assert shown.startswith("acme/rocket#1+3+5")
    assert shown.endswith("…")


def test_only_missing_tags_are_added() -> None:
    scope = Scope.parse("acme/rocket#1")
    assert missing_tags(tagged(surgical__trigger="poll", surgical__project="mine"), scope) == {
        "surgical/scope": "acme/rocket#1"
    }


def test_runs_of_before_tags_were_hidden_are_read_as_ever() -> None:
    worker = ProcessIdentity("a host", 12, "a mark")
    former = tagged(
        surgical__host="a host", surgical__pid="12", surgical__process="a mark", surgical__ledger="its name"
    )
    assert worker_of(former) == worker_of(dg.DagsterRun(job_name="any", tags=worker_tags(worker))) == worker
    assert hidden_tag(former, LEDGER_TAG) == "its name"
    assert worker_of(tagged()) is None


@pytest.mark.parametrize(
    ("tags", "priority"),
    [
        ({}, Priority.PEOPLE),
        ({"surgical/trigger": "cli"}, Priority.PEOPLE),
        *[(origin.tags, Priority.SENSORS) for origin in Origin if origin is not Origin.SWEEP],
        (Origin.SWEEP.tags, Priority.BACKGROUND),
        ({"surgical/trigger": "backfill", **BACKGROUND}, Priority.BACKGROUND),
    ],
)
def test_people_are_served_before_sensors_and_these_before_sweeps_and_backfills(
    tags: dict[str, str], priority: Priority
) -> None:
    assert priority_of(dg.DagsterRun(job_name="any", tags=tags)) is priority
