import pytest

from surgical_pipeline.report.words import seconds_in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "not ended"),
        (0, "0 ms"),
        (0.0404, "40 ms"),
        (-0.3, "-300 ms"),
        (1.44, "1.4 s"),
        (12.2, "12 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(seconds: float | None, words: str) -> None:
    assert seconds_in_words(seconds) == words
