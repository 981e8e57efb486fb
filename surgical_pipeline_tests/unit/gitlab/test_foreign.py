import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.gitlab.foreign import ForeignText

TOKEN = "glpat-Nobody_may.find-me1"
FOREIGN = ForeignText(TOKEN)


def escaped(draw: st.DataObject, percent: bool) -> str:
    """The token with some of its characters escaped and some in the other case."""
    ways = [lambda c: c, str.swapcase, lambda c: f"%{ord(c):02X}" if percent else f"\\u{ord(c):04x}"]
    if percent:
        ways.append(lambda c: f"%25{ord(c):02x}")
    return "".join(draw.draw(st.sampled_from(ways))(char) for char in TOKEN)


@given(data=st.data(), before=st.text(), after=st.text(), percent=st.booleans())
def test_no_spelling_of_the_token_is_quoted(data: st.DataObject, before: str, after: str, percent: bool) -> None:
    text = before + escaped(data, percent) + after
    assert FOREIGN.holds_token(text.encode())
    assert "[token]" in ForeignText(TOKEN).quoted(f"x{text}", 10_000)
    assert not FOREIGN.holds_token(FOREIGN.quoted(text).encode())
    assert not FOREIGN.holds_token(FOREIGN.without_token(text.encode()))


@pytest.mark.parametrize("before", ["", "a", "ab", "user:", "oauth2:"])
def test_no_base64_of_the_token_is_quoted(before: str) -> None:
    encoded = b64encode(f"{before}{TOKEN}".encode()).decode()
    shown = FOREIGN.quoted(f"Authorization: Basic {encoded} was refused")
    assert "[token]" in shown
    assert encoded[len(before) + 4 : -4] not in shown


@given(st.text(), st.integers(1, 300))
def test_what_is_quoted_is_short_and_on_one_printable_line(text: str, limit: int) -> None:
    shown = FOREIGN.quoted(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()


@given(st.text())
def test_without_the_token_a_text_stays_as_it_is(text: str) -> None:
    assert FOREIGN.without_token(text.encode()) == text.encode()
    assert not FOREIGN.holds_token(text.encode())


@given(st.dictionaries(st.text(), st.text()), st.sampled_from([TOKEN, TOKEN.upper(), quote(TOKEN, safe="")]))
def test_json_without_the_token_is_still_json(texts: dict[str, str], token: str) -> None:
    raw = json.dumps({**texts, "echo": f"a {token} b", token: 1}).encode()
    read = json.loads(FOREIGN.without_token(raw))
    assert read == {**texts, "echo": "a [token] b", "[token]": 1}


def test_what_is_shorter_than_any_token_is_left_alone() -> None:
    short = ForeignText("a")
    assert short.quoted("a banana") == "a banana"
    assert not short.holds_token(b"a banana")


def test_the_token_is_in_no_repr() -> None:
    assert "glpat" not in repr(FOREIGN)
