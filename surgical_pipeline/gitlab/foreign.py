"""Text from whatever answers as GitLab, without our token: a server may echo what we sent, anywhere.

``ForeignText.quoted`` makes every message that quotes a header, a body or an address. The token is removed from a
body before anything reads it. So neither the ledger nor a log can contain it.
"""

import re
from base64 import b64encode
from collections.abc import Iterator

MAX_QUOTED_LENGTH = 160
_INSTEAD = b"[token]"
_MIN_LENGTH = 8
"""No GitLab token is this short. Removing ``a`` from a text would destroy it."""
_PERCENT = re.compile(rb"%(?:25)*([2-7][0-9a-f])")
_JSON_ESCAPE = re.compile(rb"\\u00([2-7][0-9a-f])")


class ForeignText:
    """Finds the token in any case, percent-encoded in part or whole (also twice), and with JSON's escapes.

    In quoted text it finds base64 too. It does not look for a token of less than 8 characters.
    """

    def __init__(self, token: str = "") -> None:
        self._token = token.encode().lower() if len(token) >= _MIN_LENGTH else b""
        spellings = [_spelling(self._token), *map(_spelling, _in_base64(token.encode()))]
        self._spellings = re.compile(b"|".join(spellings), re.IGNORECASE) if self._token else None

    def __repr__(self) -> str:
        return "ForeignText()"

    def quoted(self, text: str, limit: int = MAX_QUOTED_LENGTH) -> str:
        """The text on one line, printable, without the token, and no longer than ``limit``."""
        clean = self.without_token(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
        return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in clean)).strip()[:limit]

    def holds_token(self, raw: bytes) -> bool:
        """Cheap enough for every answer: undoes the few escapes and searches for the token."""
        if not self._token:
            return False
        plain = raw.lower()
        if b"%" in plain:
            plain = _PERCENT.sub(_unescaped, plain).lower()
        if rb"\u00" in plain:
            plain = _JSON_ESCAPE.sub(_unescaped, plain).lower()
        return self._token in plain

    def without_token(self, raw: bytes) -> bytes:
        """The same bytes with the token replaced by ``[token]``; JSON stays JSON."""
        return self._spellings.sub(_INSTEAD, raw) if self._spellings else raw


def _spelling(text: bytes) -> bytes:
    """A pattern for the text as it is or with any of its characters escaped; it is to ignore case."""

    def one(char: bytes) -> bytes:
        codes = b"|".join({char.lower().hex().encode(), char.upper().hex().encode()})
        return rb"(?:%s|(?:%%(?:25)*|\\u00)(?:%s))" % (re.escape(char), codes)

    return b"".join(one(text[at : at + 1]) for at in range(len(text)))


def _in_base64(token: bytes) -> Iterator[bytes]:
    """The token's base64 after any number of bytes: the part that does not depend on neighbouring bytes."""
    for before, dependent in ((0, 0), (1, 2), (2, 3)):
        encoded = b64encode(bytes(before) + token).rstrip(b"=")
        whole = encoded if (before + len(token)) % 3 == 0 else encoded[:-1]
        yield whole[dependent:]


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode())


def checked_token(token: str) -> str:
    """The token without blanks around it.

    Raises:
        ValueError: no header can carry it.
    """
    if not (token := token.strip()):
        raise ValueError("the GitLab token is empty")
    if not all("!" <= char <= "~" for char in token):
        raise ValueError("the GitLab token holds characters that no HTTP header can carry")
    return token
