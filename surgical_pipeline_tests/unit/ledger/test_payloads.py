import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.ledger.payloads import storable_json, storable_text


@given(st.text())
def test_proper_text_is_left_as_it_is(text: str) -> None:
    assert storable_text(text) is text or storable_text(text) == text
    for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False)):
        assert storable_json(escaped) == escaped


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_that_can_be_encoded(text: str) -> None:
    storable_text(text).encode()
    json.loads(storable_json(json.dumps(text))).encode()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (r'"\ud83d\ude80"', r'"\ud83d\ude80"'),
        (r'"\ud83d"', r'"\ufffd"'),
        (r'"\ude80\ud83d"', r'"\ufffd\ufffd"'),
        (r'"\uD83D\uD83D\uDE80"', r'"\ufffd\uD83D\uDE80"'),
        (r'"\\ud83d"', r'"\\ud83d"'),
        (r'"\\\ud83d"', r'"\\\ufffd"'),
        (r'"\u0000"', r'"\u0000"'),
    ],
)
def test_only_unpaired_surrogates_are_replaced(text: str, stored: str) -> None:
    assert storable_json(text) == stored
