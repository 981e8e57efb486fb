"""Text made fit to be stored.

JSON may escape half of a surrogate pair, and Python strings may hold one. No database stores it, and the one row
would make the whole batch fail. GitLab never sends such text; something between us and GitLab may.
"""

import re

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
)


def storable_text(text: str) -> str:
    """The text with each half of a surrogate pair replaced by U+FFFD; nearly always the text itself."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def storable_json(text: str) -> str:
    """The same for JSON text, for halves written out or escaped."""
    text = storable_text(text)
    if not _ESCAPED_SURROGATE.search(text):
        return text
    return _ESCAPE.sub(lambda match: "\\ufffd" if match["half"] else match[0], text)
