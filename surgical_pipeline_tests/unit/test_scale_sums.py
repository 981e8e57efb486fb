"""The sums of docs/scale.md are those that its program does."""

from dataclasses import replace

from benchmarks.scale_sums import Given, duration, rows
from surgical_pipeline_tests.surroundings import REPOSITORY


def test_the_page_has_every_row_of_the_sums() -> None:
    page = (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows(Given()) if row not in page] == []


def test_a_hundred_issues_take_401_requests_and_their_run_its_project() -> None:
    hundred = replace(Given(), issues=100, merge_requests=0, projects=1)
    assert (hundred.all_at_first, hundred.unchanged) == (401 + 1, 2)


def test_ten_thousand_unchanged_issues_take_what_a_backfill_was_measured_to_take() -> None:
    measured = replace(Given(), issues=10_000, merge_requests=0, projects=1)
    assert (measured.unchanged, measured.all_at_first) == (120, 40_120)


def test_durations_are_told_in_the_unit_that_people_use() -> None:
    assert [duration(hours) for hours in (0.5, 1, 47, 48)] == ["30 min", "1.0 h", "47.0 h", "2.0 days"]
