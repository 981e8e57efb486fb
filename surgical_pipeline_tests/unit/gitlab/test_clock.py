from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.gitlab.clock import GitLabClock

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Machine:
    """``wrong``: how far its clock is ahead of GitLab's. ``seconds``: real ones since noon by GitLab's clock."""

    def __init__(self, wrong: timedelta = timedelta(), *, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.wrong = wrong
        self.clock = GitLabClock(wall=lambda: self.now() + self.wrong, uptime=lambda: 5000 + self.seconds)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def ask(self, headers: dict[str, str] | None = None, *, out: float = 0.0, back: float = 0.0) -> datetime:
        """Ask something of a GitLab so many seconds away; gives the ``fetched_at`` of it."""
        sent = self.clock.reading()
        self.seconds += out
        told = {"date": format_datetime(self.now(), usegmt=True)} | (headers or {})
        self.seconds += back
        self.clock.heed(httpx.Headers(told), sent=sent)
        return self.clock.at(sent)

    def error(self) -> float:
        return (self.clock.now() - self.now()).total_seconds()


moments = st.floats(0, 3, allow_nan=False)
waits = st.floats(0, 2, allow_nan=False)


@given(
    wrong=st.timedeltas(timedelta(days=-4000), timedelta(days=4000)),
    start=moments,
    answers=st.lists(st.tuples(waits, waits, moments), min_size=1, max_size=5),
)
def test_whatever_the_machines_clock_says_gitlabs_time_is_right_to_a_second_and_the_first_answers_way(
    wrong: timedelta, start: float, answers: list[tuple[float, float, float]]
) -> None:
    machine = Machine(wrong, seconds=start)
    bound = 1 + answers[0][0] + answers[0][1]
    last = None
    for out, back, pause in answers:
        asked_at = machine.now()
        told = machine.ask(out=out, back=back)
        assert abs((told - asked_at).total_seconds()) <= bound + 1e-5
        assert abs(machine.error()) <= bound + 1e-5
        assert last is None or machine.clock.now() >= last
        last = machine.clock.now()
        machine.seconds += pause


@given(start=moments, out=waits, back=waits)
def test_processes_of_a_machine_whose_clock_is_right_read_the_very_same_clock(
    start: float, out: float, back: float
) -> None:
    machine = Machine(seconds=start)
    machine.ask(out=out, back=back)
    assert machine.clock.ahead == timedelta()
    assert abs(machine.error()) < 1e-5


def test_further_answers_bring_the_time_nearer_and_never_back() -> None:
    machine = Machine(timedelta(days=1), seconds=0.9)
    machine.ask()
    errors = [machine.error()]
    for _ in range(20):
        machine.seconds += 1.05
        machine.ask()
        errors.append(machine.error())
    assert errors[0] == pytest.approx(-0.9)
    assert errors == sorted(errors)
    assert abs(errors[-1]) < 0.06


def test_a_clock_that_is_set_while_the_machine_works_makes_no_difference() -> None:
    machine = Machine()
    machine.ask()
    machine.seconds += 10
    machine.wrong = timedelta(days=3)
    machine.ask()
    assert machine.error() == 0


def test_before_the_first_answer_gitlabs_present_time_is_not_known() -> None:
    machine = Machine(timedelta(days=1))
    assert machine.clock.present() is None
    machine.ask()
    assert machine.clock.present() == machine.now()


@pytest.mark.parametrize(
    "headers",
    [
        {"date": ""},
        {"date": "yesterday"},
        {"date": "Mon, 99 May 2026 12:00:00 GMT"},
        {"date": "Fri, 31 Dec 9999 23:59:59 GMT"},
        {"date": "Mon, 01 Jan 1900 00:00:00 GMT"},
        {"age": "3600"},
    ],
    ids=str,
)
def test_without_a_usable_date_the_machines_own_clock_counts_until_one_comes(headers: dict[str, str]) -> None:
    machine = Machine(timedelta(days=1))
    assert machine.ask(headers) == NOON + timedelta(days=1)
    assert (machine.clock.heard, machine.clock.ahead) == (True, None)
    assert machine.clock.present() == NOON + timedelta(days=1)
    assert machine.ask() == NOON
    assert machine.clock.ahead == timedelta(days=-1)


def test_a_date_of_another_time_zone_is_the_moment_that_it_names() -> None:
    machine = Machine(timedelta(days=1))
    assert machine.ask({"date": "Mon, 04 May 2026 14:00:00 +0200"}) == NOON


@pytest.mark.parametrize("wrong", [timedelta(), timedelta(hours=-3), timedelta(days=400)])
def test_another_process_of_the_machine_knows_the_time_that_it_is_told(wrong: timedelta) -> None:
    first = Machine(wrong)
    first.ask()
    told = first.clock.hand_on()
    assert told is not None
    later = Machine(wrong + timedelta(minutes=5), seconds=40)  # somebody sets its clock in between
    assert later.clock.present() is None
    later.clock.take(told)
    present = later.clock.present()
    assert present is not None
    assert abs((present - later.now()).total_seconds()) <= 1


def test_a_process_that_has_heard_gitlab_itself_or_is_elsewhere_takes_nothing() -> None:
    first = Machine(timedelta(hours=1))
    first.ask()
    told = first.clock.hand_on()
    assert told is not None
    heard = Machine()
    heard.ask()
    heard.clock.take(replace(told, at=told.at + timedelta(days=1)))
    assert heard.error() == pytest.approx(0, abs=1)
    elsewhere = Machine()
    elsewhere.clock.take(replace(told, boot="another"))
    assert elsewhere.clock.present() is None


def test_there_is_nothing_to_tell_before_gitlab_has_answered() -> None:
    assert Machine().clock.hand_on() is None
