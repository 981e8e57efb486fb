"""Cut a document into the pieces that an embedder can take, along the text's own structure."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from surgical_pipeline.documents.markdown import FenceReader
from surgical_pipeline.domain.foreign_text import well_formed

TokenCounter = Callable[[str], int]

MIN_MAX_TOKENS = 16
"""With half of it for the title, one character still fits, which is up to five tokens if bytes are tokens."""

_FULL_ENOUGH = 0.75
"""Share of a chunk: once it is this full, the next section begins a new one."""

_MAYBE_WHOLE = 16
"""Characters per token. Content no longer than a chunk of such tokens is first tried in one piece: most documents
fit, and one count is several times cheaper than one for each paragraph."""

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_LIST_ITEM = re.compile(r"[ \t>]*(?:[-*+]|[0-9]{1,9}[.)])[ \t]")
_BLANKS = " \t\n"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of the content, verbatim; pieces in order are the whole content."""

    text: str
    tokens: int

    @property
    def opens_section(self) -> bool:
        return _HEADING.match(self.text) is not None


def split_into_chunks(title: str, content: str, *, count_tokens: TokenCounter, max_tokens: int) -> tuple[str, ...]:
    """Chunks of at most ``max_tokens`` tokens (as ``count_tokens`` counts them), each beginning with the title.

    Cut first between headings, paragraphs, code fences and list items, then between lines, last inside a line.
    A code fence that fits is never cut. Every line of the content that is not blank is in some chunk, whole if it
    fits. A title longer than half a chunk is shortened. Content without text gives one chunk, the title;
    without title and text there is none. Pure: same input, same chunks. ``count_tokens`` is called a bounded
    number of times for each piece, so the whole takes time linear in the content.

    Raises:
        ValueError: ``max_tokens`` below ``MIN_MAX_TOKENS``, or a single character with more tokens than a chunk.
    """
    if max_tokens < MIN_MAX_TOKENS:
        raise ValueError(f"max_tokens must be at least {MIN_MAX_TOKENS}, not {max_tokens}")
    title = _shortened(" ".join(well_formed(title).split()), count_tokens, limit=max_tokens // 2)
    head = f"{title}\n\n" if title else ""
    content = well_formed(content)
    whole = head + _trimmed(content)
    if content.strip() and len(content) <= max_tokens * _MAYBE_WHOLE and count_tokens(whole) <= max_tokens:
        return (whole,)
    packer = _Packer(head, count_tokens, max_tokens=max_tokens)
    for piece in _pieces(content, count_tokens, limit=packer.room):
        packer.add(piece)
    packer.flush()
    return tuple(packer.chunks) or ((title,) if title else ())


class _Packer:
    """Fills chunks in order. Token counts of parts do not add up exactly, so a full chunk is counted again."""

    def __init__(self, head: str, count_tokens: TokenCounter, *, max_tokens: int) -> None:
        self._head = head
        self._count = count_tokens
        self._limit = max_tokens
        self.room = max(1, max_tokens - (count_tokens(head) if head else 0))
        self.chunks: list[str] = []
        self._open: list[_Piece] = []
        self._used = 0

    def add(self, piece: _Piece) -> None:
        full = self._used + piece.tokens > self.room
        if full or (piece.opens_section and self._used > self.room * _FULL_ENOUGH):
            self.flush()
        self._open.append(piece)
        self._used += piece.tokens

    def flush(self) -> None:
        waiting = deque([self._open])
        while waiting:
            pieces = waiting.popleft()
            body = _trimmed("".join(piece.text for piece in pieces))
            if not body:
                continue
            chunk = self._head + body
            if self._count(chunk) <= self._limit:
                self.chunks.append(chunk)
            else:
                waiting.extendleft(reversed(self._halves(pieces, body)))
        self._open = []
        self._used = 0

    def _halves(self, pieces: list[_Piece], body: str) -> tuple[list[_Piece], list[_Piece]]:
        if len(pieces) > 1:
            middle = len(pieces) // 2
            return pieces[:middle], pieces[middle:]
        if len(body) == 1:
            raise ValueError(f"the character {body!r} with its title counts more than {self._limit} tokens")
        middle = _cut_place(body, 0, len(body) // 2)
        return [_Piece(body[:middle], 0)], [_Piece(body[middle:], 0)]


def _pieces(content: str, count_tokens: TokenCounter, *, limit: int) -> Iterator[_Piece]:
    """The content in pieces of at most ``limit`` tokens, as large as its structure allows."""
    for block in _blocks(content):
        tokens = count_tokens(block)
        if tokens <= limit:
            yield _Piece(block, tokens)
            continue
        for part in _heading_apart(_lines(block)):
            text = "".join(part)
            if text != block and (tokens := count_tokens(text)) <= limit:
                yield _Piece(text, tokens)
                continue
            for line in part:
                yield from _cut(line, count_tokens(line), count_tokens, limit=limit)


def _blocks(content: str) -> Iterator[str]:
    """Paragraphs, code fences and list items, each with the headings above it and the blank lines after it."""
    fence = FenceReader()
    block: list[str] = []
    only_headings = True
    after_break = False
    for line in _lines(content):
        inside = fence.is_open
        fenced = fence.takes(line.rstrip("\n"))
        blank = not fenced and not line.strip()
        heading = not fenced and _HEADING.match(line) is not None
        opens = not inside if fenced else not blank and (after_break or heading or _LIST_ITEM.match(line))
        if opens and not only_headings:
            yield "".join(block)
            block = []
            only_headings = True
        only_headings = only_headings and (heading or blank)
        after_break = fenced or blank
        block.append(line)
    if block:
        yield "".join(block)


def _heading_apart(lines: list[str]) -> tuple[list[str], list[str]]:
    """The headings of a block that is too large, and the rest, which may fit without them."""
    first = next((i for i, line in enumerate(lines) if line.strip() and not _HEADING.match(line)), len(lines))
    return lines[:first], lines[first:]


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _cut(text: str, tokens: int, count_tokens: TokenCounter, *, limit: int) -> Iterator[_Piece]:
    """``text`` in pieces of at most ``limit`` tokens, split at blanks if there are any nearby."""
    waiting = deque([(text, tokens)])
    while waiting:
        part, count = waiting.popleft()
        if count <= limit or len(part) == 1:
            yield _Piece(part, count)
            continue
        shares = min(len(part), max(2, -(-count * 8 // (limit * 7))))  # an eighth of slack for uneven parts
        step = -(-len(part) // shares)
        at, pieces = 0, []
        while at < len(part):
            end = len(part) if at + step >= len(part) else _cut_place(part, at, at + step)
            pieces.append(part[at:end])
            at = end
        waiting.extendleft((piece, count_tokens(piece)) for piece in reversed(pieces))


def _cut_place(text: str, start: int, wanted: int) -> int:
    """After the last blank in the last quarter before ``wanted``; ``wanted`` itself if there is none."""
    earliest = max(start + 1, wanted - (wanted - start) // 4)
    blank = max(text.rfind(char, earliest - 1, wanted) for char in _BLANKS)
    return blank + 1 if blank >= 0 else max(wanted, start + 1)


def _shortened(title: str, count_tokens: TokenCounter, *, limit: int) -> str:
    while title and (count := count_tokens(title)) > limit:
        title = title[: min(len(title) - 1, len(title) * limit // count)].rstrip()
    return title


def _trimmed(body: str) -> str:
    """Without blank lines around it; the first line keeps its indentation."""
    body = body.rstrip()
    first = len(body) - len(body.lstrip())
    return body[body.rfind("\n", 0, first) + 1 :]
