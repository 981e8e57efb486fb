from datetime import UTC, datetime, timedelta

import pytest

from surgical_pipeline.domain.reconciliation import Ending, Liveness, Signs, judge

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def running(**signs: object) -> Signs:
    usual: dict[str, object] = {
        "running": True,
        "liveness": Liveness.UNKNOWN,
        "heartbeat_at": ago(5),
        "dagster_made_it": True,
        "dagster_status": "STARTED",
        "dagster_started_at": ago(590),
    }
    return Signs.model_validate(usual | signs)


def queued(**signs: object) -> Signs:
    waiting = {"running": False, "heartbeat_at": None, "dagster_status": "QUEUED", "dagster_started_at": None}
    return running(**(waiting | signs))


def test_a_run_that_beats_and_that_dagster_knows_goes_on() -> None:
    assert judge(running(), now=NOW) is None


@pytest.mark.parametrize("signs", [running(), queued()])
def test_a_process_that_is_gone_is_a_lost_run_at_once(signs: Signs) -> None:
    assert judge(signs.model_copy(update={"liveness": Liveness.GONE}), now=NOW) is Ending.LOST


def test_a_process_that_is_seen_alive_is_never_given_up_however_long_it_is_silent() -> None:
    assert judge(running(liveness=Liveness.ALIVE, heartbeat_at=ago(86_400)), now=NOW) is None


@pytest.mark.parametrize(("silent", "ending"), [(90, None), (90.1, Ending.LOST)])
def test_a_process_out_of_sight_is_lost_after_three_minutes_of_silence(
    silent: float, ending: Ending | None
) -> None:
    assert judge(running(heartbeat_at=ago(silent)), now=NOW) is ending


@pytest.mark.parametrize("liveness", Liveness)
def test_dagsters_ending_counts_whatever_the_process_does(liveness: Liveness) -> None:
    assert judge(running(dagster_status="CANCELED", liveness=liveness), now=NOW) is Ending.CANCELLED
    assert judge(running(dagster_status="FAILURE", liveness=liveness), now=NOW) is Ending.FAILED
    assert judge(running(dagster_status="SUCCESS", liveness=liveness), now=NOW) is Ending.FAILED


def test_a_process_that_went_while_it_was_being_cancelled_was_cancelled() -> None:
    assert judge(running(dagster_status="CANCELING", liveness=Liveness.GONE), now=NOW) is Ending.CANCELLED
    assert judge(running(dagster_status="CANCELING"), now=NOW) is None


def test_a_run_may_wait_in_dagsters_queue_for_days() -> None:
    for made_it in (True, False):
        assert judge(queued(dagster_made_it=made_it), now=NOW + timedelta(days=7)) is None


def test_a_run_that_started_and_never_came_to_its_first_stage_is_lost_after_ninety_seconds() -> None:
    assert judge(queued(dagster_status="STARTED", dagster_started_at=ago(179)), now=NOW) is None
    assert judge(queued(dagster_status="STARTED", dagster_started_at=ago(181)), now=NOW) is Ending.LOST


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=1)])
def test_a_machine_whose_clock_is_a_day_off_has_an_hour_from_the_launch_of_a_run_to_its_first_stage(
    off: timedelta,
) -> None:
    started = ago(300) + off
    told = {"dagster_status": "STARTED", "dagster_started_at": started}
    assert judge(queued(**told, launched_at=ago(3599)), now=NOW) is None
    assert judge(queued(**told, launched_at=ago(3601)), now=NOW) is Ending.LOST


def test_a_run_that_waited_for_a_machine_has_its_time_from_its_start() -> None:
    told = {"dagster_status": "STARTED", "launched_at": ago(4000)}
    assert judge(queued(**told, dagster_started_at=ago(179)), now=NOW) is None
    assert judge(queued(**told, dagster_started_at=ago(181)), now=NOW) is Ending.LOST


def test_a_queued_run_that_its_own_dagster_does_not_know_was_deleted_there() -> None:
    assert judge(queued(dagster_status=None), now=NOW) is Ending.DELETED
    assert judge(queued(dagster_status=None, liveness=Liveness.GONE), now=NOW) is Ending.DELETED
    assert judge(queued(dagster_status=None, liveness=Liveness.ALIVE), now=NOW) is None, "it is about to begin"


def test_that_another_dagster_does_not_know_a_queued_run_says_nothing_however_long_it_waits() -> None:
    signs = queued(dagster_status=None, dagster_made_it=False)
    assert judge(signs, now=NOW + timedelta(days=30)) is None
    assert judge(signs.model_copy(update={"liveness": Liveness.GONE}), now=NOW) is Ending.LOST


def test_a_running_run_of_another_dagster_is_told_by_its_heartbeat() -> None:
    assert judge(running(dagster_status=None), now=NOW) is None
    assert judge(running(dagster_status=None, heartbeat_at=ago(91)), now=NOW) is Ending.LOST


@pytest.mark.parametrize(("silent", "ending"), [(3_600, None), (3_600.1, Ending.LOST)])
def test_between_two_stages_that_have_a_process_each_silence_is_believed_for_an_hour(
    silent: float, ending: Ending | None
) -> None:
    assert judge(running(heartbeat_at=ago(silent), between_stages=True), now=NOW) is ending


def test_a_conductor_that_is_gone_is_a_lost_run_between_stages_too() -> None:
    assert judge(running(liveness=Liveness.GONE, between_stages=True), now=NOW) is Ending.LOST
