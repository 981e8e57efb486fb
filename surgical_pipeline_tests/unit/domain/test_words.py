import pytest

from surgical_pipeline.domain.words import counted, size_in_words


def test_one_is_no_plural() -> None:
    assert [counted(1, "run"), counted(2000, "run"), counted(0, "entity", "entities")] == [
        "1 run",
        "2,000 runs",
        "0 entities",
    ]


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (12_345, "12.3 KB"), (429_000_000, "429 MB"), (5 * 10**15, "5,000 TB")],
)
def test_a_size_has_the_unit_that_suits_it(size: int, words: str) -> None:
    assert size_in_words(size) == words
