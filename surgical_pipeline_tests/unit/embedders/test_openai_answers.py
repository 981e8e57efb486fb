from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.embedders.openai_answers import excerpt, read_json, seconds_to_wait, vectors_in
from surgical_pipeline.embedders.protocol import EmbedderError

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "index", "embedding"]), inner)
    ),
    max_leaves=10,
)


def test_vectors_come_in_the_order_of_the_texts_whatever_the_order_of_the_answer() -> None:
    answer = {"data": [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]}

    assert vectors_in(answer, 2) == [[0.0], [1.0]]


def test_an_answer_without_indices_is_taken_in_its_own_order() -> None:
    assert vectors_in({"data": [{"embedding": [1.0]}, {"embedding": [0.0]}]}, 2) == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "is it OpenAI-compatible"),
        ([], "is it OpenAI-compatible"),
        ({}, "is it OpenAI-compatible"),
        ({"data": {}}, "is it OpenAI-compatible"),
        ({"data": [1]}, "is it OpenAI-compatible"),
        ({"data": [{"vector": [1]}]}, "is it OpenAI-compatible"),
        ({"data": []}, "0 vectors for 1 texts"),
        ({"data": [{"embedding": [1]}] * 2}, "2 vectors for 1 texts"),
        ({"data": [{"index": 1, "embedding": [1]}]}, "numbers its 1 vectors wrongly"),
        ({"data": [{"index": "0", "embedding": [1]}]}, "numbers its 1 vectors wrongly"),
        ({"data": [{"index": None, "embedding": [1]}]}, "numbers its 1 vectors wrongly"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(answer: Any, reason: str) -> None:
    with pytest.raises(EmbedderError, match=reason):
        vectors_in(answer, 1)


@given(jsons, st.integers(1, 3))
def test_no_json_at_all_raises_anything_else(answer: Any, count: int) -> None:
    with suppress(EmbedderError):
        assert len(vectors_in(answer, count)) == count


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 200_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(EmbedderError, match="the embedder answered 200 with no JSON"):
        read_json(body, "the embedder")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "model\\n not found", "type": "x"}}', "model not found"),
        (b'{"error": "no such model"}', "no such model"),
        (b"plain text", "plain text"),
        (b'["list"]', '["list"]'),
        (b"", "an empty body"),
        (b"x" * 5000, "x" * 200 + "…"),
        (b"\xff", "\ufffd"),
    ],
)
def test_an_error_is_told_on_one_short_line(body: bytes, said: str) -> None:
    assert excerpt(body) == said


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("-3", None),
        ("soon", None),
        ("1.5", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert seconds_to_wait(soon) == pytest.approx(60, abs=3)
