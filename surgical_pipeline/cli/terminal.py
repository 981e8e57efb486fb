"""Where text leaves the program. No other module of the command line prints, so nothing goes out unescaped.

On a terminal tables are laid out, and links can be clicked. Into a pipe each row is one line with tabs between
fields, nothing wrapped, padded or coloured.
"""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from pydantic import BaseModel
from pydantic_core import to_json
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from surgical_pipeline.domain.foreign_text import on_one_line, visible, visible_json

Part = str | tuple[str, str | Style]
"""A text, or a text and its style."""


class _SafeConsole(Console):
    """In everything rendered, rich's own control sequences are the only ones."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), _without_hostile_link(segment.style))

    def on_broken_pipe(self) -> None:
        """Leave it to `Program`, as any other error of the stream."""
        raise  # noqa: PLE0704  inside rich's handler


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def out() -> Console:
    """For what needs rich itself; `say` and `print_rows` do the rest."""
    return _SafeConsole(highlight=False, markup=False, emoji=False)


def err() -> Console:
    return _SafeConsole(stderr=True, highlight=False, markup=False, emoji=False)


@contextmanager
def lasting_err() -> Iterator[Console]:
    """Stderr as it is now, also while a job runs: Dagster sends what a step writes there into a file."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # no real stream, which Dagster cannot redirect either
        yield err()
        return
    with os.fdopen(descriptor, "w", encoding=sys.stderr.encoding, errors="backslashreplace") as stream:
        try:
            yield _SafeConsole(file=stream, highlight=False, markup=False, emoji=False)
        finally:
            with suppress(OSError):  # as on stderr itself, what cannot be written is dropped
                stream.flush()


def words(*parts: Part) -> Text:
    """Parts as one line: line ends and tabs become blanks, active or hidden characters become escapes."""
    text = Text()
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        text.append(on_one_line(content), style)
    return text


def lines(texts: Iterable[Text]) -> Text:
    """Below each other on a terminal; separated by ``; `` into a pipe."""
    return Text("\n").join(texts)


def say(*parts: Part) -> None:
    """A line on stdout."""
    if on_terminal():
        out().print(words(*parts))
    else:
        sys.stdout.write(f"{words(*parts).plain}\n")


def deliver() -> None:
    """Send what was said on its way: a question about it follows, or a long wait, and a pipe would keep it."""
    sys.stdout.flush()


def tell(*parts: Part, style: str = "", to: Console | None = None) -> None:
    """A line on stderr, apart from tables and documents. ``to``: `lasting_err`, instead of stderr as it is now."""
    (to or err()).print(words(*parts), style=style, soft_wrap=True)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """What is being waited for, on stderr while the block runs, if that is a terminal; gives how to change it."""
    console = err()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(words(what)) as shown:
        yield lambda now: shown.update(words(now))


def print_rows(columns: Sequence[Column], rows: Iterable[Sequence[Text]]) -> None:
    """A table; into a pipe its rows only, without a header."""
    if on_terminal():
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*row)
        out().print(table)
        return
    for row in rows:
        sys.stdout.write("\t".join(cell.plain.replace("\n", "; ") for cell in row) + "\n")


def print_list(columns: Sequence[Column], rows: Sequence[Sequence[Text]], *, empty: str) -> None:
    """Only rows on stdout; a note that there are none goes there on a terminal only."""
    if rows:
        print_rows(columns, rows)
    else:
        comment(empty)


def comment(*parts: Part) -> None:
    """A sentence beside rows: on stderr if a program reads stdout."""
    (say if on_terminal() else tell)(*parts)


def print_json(document: BaseModel | Mapping[str, object] | Sequence[object]) -> None:
    """One document on stdout, indented, in UTF-8 regardless of the terminal."""
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{visible_json(to_json(document, indent=2).decode())}\n".encode())
    sys.stdout.buffer.flush()


@contextmanager
def foreign_stdout() -> Iterator[TextIO]:
    """Stdout for a whole export, in UTF-8: into a pipe as it is, on a terminal with active characters escaped."""
    sys.stdout.flush()
    stream = (_EscapedStream if on_terminal() else io.TextIOWrapper)(
        sys.stdout.buffer, encoding="utf-8", newline="", write_through=False
    )
    try:
        yield stream
        stream.flush()
    finally:
        stream.detach()


class _EscapedStream(io.TextIOWrapper):
    def write(self, text: str) -> int:
        super().write(visible(text))
        return len(text)


def print_page(page: str) -> None:
    """An HTML page on stdout, as it is: it has escaped its texts itself."""
    sys.stdout.flush()
    sys.stdout.buffer.write(page.encode())
    sys.stdout.buffer.flush()


def link(address: str | None) -> Style:
    """The style of a text that links to the address; without an address, no style."""
    return Style(link=address) if address else Style.null()


def _without_hostile_link(style: Style | None) -> Style | None:
    if style is None or not style.link or (style.link.isascii() and style.link.isprintable()):
        return style
    return style.update_link(None)


def each(texts: Iterable[str]) -> Iterator[Text]:
    """Texts without a style, as the cells of a row."""
    return (words(text) for text in texts)
