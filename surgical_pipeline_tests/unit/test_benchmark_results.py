"""The summary of results.md tells where others are better before it tells where we are."""

from benchmarks.peers.measuring import Spread
from benchmarks.peers.results import Contest, Floor, Section, summary


def contest(what: str, *, ours: float, theirs: float, goal: float | None = None) -> Contest:
    return Contest(what, "dlt", Spread.of([ours, 2 * ours, ours]), Spread.of([theirs]), goal=goal)


def test_where_a_peer_wins_comes_first_and_a_missed_goal_next() -> None:
    lines = summary(
        [
            contest("a, s", ours=1, theirs=4, goal=3),
            contest("b, s", ours=1, theirs=2, goal=3),
            contest("c, s", ours=2, theirs=1),
        ]
    )
    assert lines[2:] == [
        "- **dlt wins**: c, s: ours 2 (2-4), dlt 1; theirs to ours 0.50",
        "- Short of the goal of 3 times: b, s: ours 1 (1-2), dlt 2; theirs to ours 2.00",
        "- a, s: ours 1 (1-2), dlt 4; theirs to ours 4.00",
    ]


def test_if_no_peer_wins_that_is_said() -> None:
    assert summary([contest("a, s", ours=1, theirs=4)])[2] == "- No peer wins in any figure below."


def test_a_section_is_a_table_with_its_floors_and_notes() -> None:
    section = Section("Small runs", "What it is.", ("tool", "s"), rows=[["ours", "3"]], notes=["a remark"])
    section.floors.append(Floor("fetch, s", Spread.of([3.0, 2.0, 4.0]), 2.0))
    assert str(section).splitlines() == [
        "## Small runs",
        "",
        "What it is.",
        "",
        "| tool | s |",
        "| --- | --- |",
        "| ours | 3 |",
        "",
        "| figure | ours | floor | ours ÷ floor |",
        "|---|---|---|---|",
        "| fetch, s | 3 (2-4) | 2 | 1.50 |",
        "",
        "- a remark",
    ]
