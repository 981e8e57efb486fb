import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.embedders.protocol import BLANK_TEXT, EmbedderError, checked, prepared

TEXTS = ["a", "b"]


def test_vectors_come_back_as_float32_of_length_one() -> None:
    vectors = checked([[3, 4], [0, -2]], TEXTS, 2)

    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, np.array([[0.6, 0.8], [0.0, -1.0]]), rtol=1e-6)


def test_no_texts_give_no_vectors_of_the_right_width() -> None:
    assert checked([], [], 256).shape == (0, 256)


@pytest.mark.parametrize(
    "vectors",
    [
        [],
        [[1, 2]],
        [[1, 2], [3, 4], [5, 6]],
        [[1, 2, 3], [4, 5, 6]],
        [[1], [2]],
        [1, 2],
        [[[1, 2]], [[3, 4]]],
        np.ones((2, 3)),
    ],
)
def test_another_shape_is_refused(vectors: Any) -> None:
    with pytest.raises(EmbedderError, match="one vector of the model's dimension for each text"):
        checked(vectors, TEXTS, 2)


@pytest.mark.parametrize("vectors", [[[1, 2], [3]], [["x", 1], [2, 3]], ["abc=", "def="], [[{}, 1], [2, 3]]])
def test_what_is_no_table_of_numbers_is_refused(vectors: Any) -> None:
    with pytest.raises(EmbedderError, match="not a table of numbers"):
        checked(vectors, TEXTS, 2)


@pytest.mark.parametrize(
    "bad", [[float("nan"), 1], [float("inf"), 1], [1, float("-inf")], [0, 0], [None, 1], [1e308, 1e308]]
)
def test_a_vector_without_direction_is_refused_and_named(bad: Sequence[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(EmbedderError, match="text 2 holds NaN, infinity or only zeros") as caught:
            checked([[1, 2], bad], TEXTS, 2)
    assert caught.value.rejected


def test_an_error_has_its_failure_code() -> None:
    assert EmbedderError("no").code is FailureCode.EMBEDDER_ERROR
    assert not EmbedderError("no").rejected


def test_texts_without_a_word_are_replaced_and_broken_ones_mended() -> None:
    assert prepared(["", " \n\t", "\x00", "a\ud800", "fine"]) == [BLANK_TEXT] * 3 + ["a\ufffd", "fine"]
