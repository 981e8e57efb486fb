"""What a tick tells people, as sentences."""

from datetime import timedelta

import pytest

from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.events.changes import Turn
from surgical_pipeline.events.list_state import ListState
from surgical_pipeline.events.poll_report import Announced, PollReport
from surgical_pipeline_tests.unit.events.simulated import NOON, row

STATE = ListState(NOON, NOON)
BOTH = (EntityType.ISSUE, EntityType.MERGE_REQUEST)


def test_nothing_new_is_said_with_how_much_is_watched() -> None:
    assert str(PollReport(watches=3)) == "Nothing new in 3 watched entries."


def test_what_is_asked_for_and_what_waits_are_counted() -> None:
    report = PollReport(watches=2)
    asked = [row(1, NOON), row(2, NOON)]
    report.take_up("acme/rocket", {EntityType.ISSUE: Turn(STATE, asked, outstanding=5)}, errors={})
    assert str(report) == "Asked for changes: 2 in acme/rocket; 3 changes wait for a run."


def test_lists_that_fail_alike_are_one_reason_and_others_are_told_apart() -> None:
    report = PollReport(watches=2)
    report.take_up("acme/a", {}, errors=dict.fromkeys(BOTH, "GitLab answered 404"))
    report.take_up("acme/b", {}, errors={EntityType.MERGE_REQUEST: "GitLab answered 403"})
    assert str(report) == (
        "The lists of acme/a cannot be read, which keeps its place: GitLab answered 404; "
        "the merge requests of acme/b cannot be read: GitLab answered 403."
    )


def test_what_is_given_up_is_named_and_many_are_counted() -> None:
    turn = Turn(STATE, missed=[row(iid, NOON) for iid in range(1, 8)])
    report = PollReport(watches=1)
    report.take_up("acme/rocket", {EntityType.ISSUE: turn}, errors={})
    assert str(report).startswith(
        "Given up after 3 runs that did not bring them up to date: acme/rocket#1, acme/rocket#2, acme/rocket#3, "
        "acme/rocket#4, acme/rocket#5 and 2 more (`surgical-pipeline runs list`"
    )
    assert len(report.troubles) == 1


@pytest.mark.parametrize(
    ("announced", "refused", "told"),
    [
        (Announced(40, 12, NOON - timedelta(hours=3)), "", "hooks told of 12 of 40 changes, the last 3 h ago"),
        (
            Announced(40, 12, NOON - timedelta(days=3)),
            "7 refused (wrong secret)",
            "hooks told of 12 of 40 changes, the last 3 days ago, 7 refused (wrong secret)",
        ),
        (Announced(1, 1, NOON - timedelta(seconds=90)), "", "hooks told of 1 of 1 changes, the last 1 min ago"),
        (Announced(0, 0, NOON), "", ""),
        (Announced(40, 0, None), "", ""),
    ],
)
def test_how_hooks_do_is_said_in_figures(announced: Announced, refused: str, told: str) -> None:
    assert announced.sentence(NOON, refused=refused) == told


def test_where_hooks_are_expected_and_none_came_that_is_said() -> None:
    assert Announced(40, 0, None).sentence(NOON, expected=True) == "hooks told of 0 of 40 changes, none ever came"
