"""Text that others wrote, made safe for its destination: databases, terminals, logs, tables."""

import logging
import re
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # control characters but tab and newline
    r"|[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u3164\ufeff\uffa0\ufff9-\ufffb]"
    r"|[\u2028-\u202e\u2060-\u206f]"  # line and paragraph separators, directions, invisible operators
    r"|[\ud800-\udfff\U000e0000-\U000e007f]"  # lone surrogates, which no stream accepts, and invisible tags
    # One selects a character's form; a series of them carries bytes that nobody sees.
    r"|(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
# They join emoji and Indic or Persian words; next to ASCII or each other they only hide text.
_JOINERS = re.compile(r"(?<![^\x00-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\u200c\u200d])")
_BREAKS = re.compile(r"[\t\r\n]+")
_MARKDOWN_SIGNS = re.compile(r"[\\`*_\[\]<>!~&|]")


def well_formed(text: str) -> str:
    r"""``text`` as databases and tokenizers take it: ``\n`` line ends, no NUL, no unpaired surrogate (U+FFFD)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def visible(text: str) -> str:
    r"""``text`` as a terminal, a log or a page may show it: active or hidden characters become visible escapes.

    ``\x1b`` for control characters, ``\u202e`` for those that change direction, hide or break lines. Newlines
    and tabs stay. Applying it again changes nothing.
    """
    return text if text.isascii() and text.isprintable() else _escaped(text, _escape)


def on_one_line(text: str) -> str:
    """Like ``visible``, with a blank for each run of line ends and tabs: for a sentence or the cell of a table."""
    return visible(_BREAKS.sub(" ", text))


def in_markdown(text: str) -> str:
    """Like ``on_one_line``, and Markdown shows it as it is: nothing is fetched, linked or made bold, no cell ends.

    CommonMark lets a backslash stand before any ASCII punctuation.
    """
    return _MARKDOWN_SIGNS.sub(r"\\\g<0>", on_one_line(text))


def visible_json(document: str) -> str:
    r"""A JSON document that says the same, with ``\u`` escapes for what ``visible`` would not let through.

    The JSON writer has already escaped the control characters below the blank.
    """
    return _escaped(document, _escape_in_json)


def make_logs_visible(*names: str) -> None:
    """Pass all log records of this process through ``visible``, or those of loggers whose name begins so.

    At the record, not at a handler: handlers and formatters belong to Dagster and the user's logging setup.
    """
    make = logging.getLogRecordFactory()

    def make_visible(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if not names or str(record.name).startswith(names):
            with suppress(TypeError, ValueError):  # arguments that do not fit: the handler reports them
                record.msg, record.args = visible(record.getMessage()), None
            if record.exc_info and record.exc_info[0]:
                record.exc_text = visible("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        return record

    logging.setLogRecordFactory(make_visible)


def _escaped(text: str, escape: Callable[[re.Match[str]], str]) -> str:
    return _JOINERS.sub(escape, _INVISIBLE.sub(escape, text))


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code <= 0xFF:  # noqa: PLR2004  as Python writes them: two digits, four or eight
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def _escape_in_json(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
