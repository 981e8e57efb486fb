"""The hour of everything at once, in a minute; `python -m surgical_pipeline_tests.soak hour` is the long one."""

from pathlib import Path

import pytest

from surgical_pipeline_tests.soak.growth import slope
from surgical_pipeline_tests.soak.hour import live_an_hour

pytestmark = pytest.mark.processes


def test_everything_at_once_comes_to_rest_as_the_sandbox_is(tmp_path: Path) -> None:
    report = live_an_hour(tmp_path, minutes=1, seed=11)
    assert report.wrong == []
    assert report.events.edits.total() > 10
    assert report.events.kills
    assert report.syncs
    assert report.prunes[0] >= 1
    assert report.growth.most_files(0, 1) > 0
    seen = {one.role for one in report.growth.memories()}
    assert {"dagster's code server", "dagster's daemon", "dagster's webserver", "the receiver"} < seen


def test_a_slope_is_that_of_the_line_that_fits_best() -> None:
    assert slope([(0, 10), (1, 12), (2, 14)]) == pytest.approx(2)
    assert slope([(0, 10), (1, 10), (2, 10)]) == 0
    assert slope([(5, 10)]) == slope([]) == 0
