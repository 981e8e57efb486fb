"""The summary of results.md tells where others are better before it tells where we are."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers import parts
from benchmarks.peers.measuring import Spread
from benchmarks.peers.options import Options
from benchmarks.peers.results import Contest, Floor, Section, summary


def contest(what: str, *, ours: float, theirs: float, goal: float | None = None, why: str = "") -> Contest:
    return Contest(what, "dlt", Spread.of([ours, 2 * ours, ours]), Spread.of([theirs]), goal=goal, why=why)


def test_where_a_peer_wins_comes_first_with_why_and_then_missed_goals_and_high_floors() -> None:
    lines = summary(
        [
            contest("a, s", ours=1, theirs=4, goal=3),
            contest("b, s", ours=1, theirs=2.5, goal=3, why="both wait for GitLab"),
            contest("c, s", ours=2, theirs=1, goal=3, why="it renders no documents"),
            contest("d, s", ours=4, theirs=1),
        ],
        [Floor("e, s", Spread.of([3.0]), 2.0), Floor("f, s", Spread.of([2.6]), 2.0)],
    )
    assert lines[2:] == [
        "- **dlt wins**: d, s: ours 4 (4-8), dlt 1; theirs to ours 0.25; nothing that was measured tells why",
        (
            "- **dlt wins** (the goal is 3): c, s: ours 2 (2-4), dlt 1; theirs to ours 0.50: "
            "it renders no documents"
        ),
        "- Short of the goal of 3 times: b, s: ours 1 (1-2), dlt 2.5; theirs to ours 2.50: both wait for GitLab",
        "- More than 1.3 times its floor: e, s: 3, floor 2; ours to floor 1.50",
        "- Ours wins: a, s: ours 1 (1-2), dlt 4; theirs to ours 4.00",
    ]


def test_if_no_peer_wins_that_is_said() -> None:
    assert summary([contest("a, s", ours=1, theirs=4)], [])[2] == "- No peer wins in any figure below."


def test_rounds_that_overlap_are_said_to() -> None:
    (line,) = (one for one in summary([contest("a, s", ours=1, theirs=1.5)], []) if "Ours wins" in one)
    assert line.endswith("theirs to ours 1.50, but rounds of the two overlap")


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


def test_a_part_that_ended_is_taken_again_if_options_and_code_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FOLDER", tmp_path)
    section = Section("Small runs", "What it is.", ["tool", "s"], rows=[["ours", "3"]], measured="At noon.")
    section.contests.append(contest("a, s", ours=1, theirs=4, goal=3, why="that"))
    section.floors.append(Floor("fetch, s", Spread.of([3.0, 2.0, 4.0]), 2.0))
    options = Options()
    parts.keep("small", section, options)
    assert parts.kept("small", options) == section
    assert parts.kept("small", replace(options, rounds=9)) is None
    assert parts.kept("growth", options) is None
    monkeypatch.setattr(parts, "commit", lambda: "another")
    assert parts.kept("small", options) is None
