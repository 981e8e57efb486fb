"""What GitLab's people write, on its way to terminals, logs, tables and JSON."""

import io
import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from surgical_pipeline.domain.foreign_text import (
    in_markdown,
    make_logs_visible,
    on_one_line,
    visible,
    visible_json,
)

HARMLESS = "Fußnote «ok» 火箭 🚀 👩\u200d💻 ❤\ufe0f\u200d🔥 \u0645\u06cc\u200c\u062e é\u0301\n\tC:\\temp [bold]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]52;c;cm0=\x07", r"\x1b[2J\x1b]52;c;cm0=\x07"),
        ("a\rb\x08\x7f", r"a\x0db\x08\x7f"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("\u202egpj.exe\u2066\u2069\u200f", r"\u202egpj.exe\u2066\u2069\u200f"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("pay\u200bpal\ufeff\xad\u2060", r"pay\u200bpal\ufeff\xad\u2060"),
        ("pass\u200dword \u200c", r"pass\u200dword \u200c"),
        ("\U000e0041\U000e007f", r"\U000e0041\U000e007f"),
        ("x\ufe0f\ufe01\U000e0100", "x\ufe0f" + r"\ufe01\U000e0100"),
        ("half \ud83d of a rocket", r"half \ud83d of a rocket"),
        ("\x00", r"\x00"),
    ],
)
def test_what_acts_or_hides_becomes_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_what_people_see_stays_as_it_is() -> None:
    assert visible(HARMLESS) == HARMLESS


@given(st.text(st.characters()) | st.text(alphabet="\x1b\r\n\t\u202e\u200d\U000e0041\ud800a é🚀\x9b"))
def test_nothing_of_a_text_can_act_and_a_second_time_changes_nothing(text: str) -> None:
    shown = visible(text)
    acting = {
        char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char not in "\n\t"
    }
    assert acting == set()
    assert not any(unicodedata.bidirectional(char) in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI") for char in shown)
    assert visible(shown) == shown
    assert on_one_line(text).count("\n") == on_one_line(text).count("\t") == 0


def test_a_sentence_stays_on_its_line() -> None:
    assert on_one_line("one\r\nError: two\n\n\tthree\x1b") == r"one Error: two three\x1b"


@given(st.text())
def test_json_says_the_same_and_holds_nothing_that_acts(text: str) -> None:
    document = json.dumps({text: [text]}, ensure_ascii=False, indent=2)
    escaped = visible_json(document)
    assert json.loads(escaped) == {text: [text]}
    assert visible(escaped) == escaped


def test_json_of_characters_beyond_16_bits_is_a_pair() -> None:
    assert visible_json('"\U000e0041\x9b🚀"') == r'"\udb40\udc41\u009b' + '🚀"'


def shown(cell: str) -> tuple[str, set[str]]:
    """A cell of a table as a Markdown renderer shows it, and the kinds of things that it finds in there."""
    table = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    _, inline = [one for one in table.parse(f"| a |\n|---|\n| {cell} |\n") if one.type == "inline"]
    parts = inline.children or []
    return "".join(part.content for part in parts), {part.type for part in parts}


@given(st.text(alphabet="\\|*_`~[]()<>!&#;:/ahtp.\n\r\x1b "))
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    content, kinds = shown(in_markdown(text))
    assert content == on_one_line(text).strip()
    assert kinds <= {"text"}


@pytest.mark.parametrize(
    "text",
    ["![a](http://example.com/p.png)", "[a](javascript:b)", "<img src=x>", "**a**", "~~a~~", "&lt;", "`a`", "a|b"],
)
def test_nothing_in_it_is_fetched_linked_or_drawn(text: str) -> None:
    assert shown(in_markdown(text)) == (text, {"text"})


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a handler that knows nothing of us writes."""
    factory, written = logging.getLogRecordFactory(), io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)
    logging.setLogRecordFactory(factory)


def test_a_log_record_is_visible_with_its_arguments_and_its_traceback(log: io.StringIO) -> None:
    make_logs_visible()
    error = ValueError("title \x1b[2J")
    logging.getLogger("surgical_pipeline.x").error("refused: %s", "note\x1b]0;owned\x07", exc_info=error)
    text = log.getvalue()
    assert "\x1b" not in text
    assert r"refused: note\x1b]0;owned\x07" in text
    assert r"ValueError: title \x1b[2J" in text
    assert text.count("ValueError") == 1


def test_other_loggers_of_a_deployment_are_left_alone(log: io.StringIO) -> None:
    make_logs_visible("surgical_pipeline", "dagster")
    for name in ("surgical_pipeline.x", "dagster", "theirs"):
        logging.getLogger(name).warning("\x1b of %s", name)
    assert log.getvalue().splitlines() == [r"\x1b of surgical_pipeline.x", r"\x1b of dagster", "\x1b of theirs"]


@pytest.mark.usefixtures("log")
def test_arguments_that_do_not_fit_stay_the_handlers_to_complain_about() -> None:
    make_logs_visible()
    record = logging.getLogger("theirs").makeRecord("theirs", logging.INFO, "", 0, "%d", ("one",), None)
    assert (record.msg, record.args) == ("%d", ("one",))
