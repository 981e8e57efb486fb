"""That nothing of the command line prints past the one place that makes foreign text visible."""

import ast
import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.style import Style
from rich.text import Text

from surgical_pipeline.cli import main
from surgical_pipeline.cli.terminal import err, out, print_json, print_rows, say, tell, waiting, words
from surgical_pipeline_tests.dagster_dev import wait_until

COMMAND_LINE = Path(main.__file__).parent
MAY_WRITE = {"terminal.py", "program.py"}
WRITERS = {"echo", "secho", "print", "Console", "input", "pprint", "sys.stdout", "sys.stderr"}
HOSTILE = "a\x1b[2J\x1b]52;c;cm0=\x07\u202eb\x9b1mc"
VISIBLE = r"a\x1b[2J\x1b]52;c;cm0=\x07\u202eb\x9b1mc"


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Screen]:
    """Makes stdout and stderr a terminal with colours; to be called where they are used."""

    def make() -> Screen:
        made = Screen()
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setattr(sys, "stderr", made)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "200")
        return made

    return make


def contains(screen: Screen, text: str) -> bool:
    return text in screen.getvalue()


def names(path: Path) -> Iterator[str]:
    """What is called in a module, and each use of a stream but to ask whether it is a terminal."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asked = {
        ast.dump(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "isatty"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2]
        elif isinstance(node, ast.Attribute) and ast.dump(node) not in asked:
            yield ast.unparse(node)


def test_only_one_place_prints() -> None:
    printing = {
        f"{path.relative_to(COMMAND_LINE)}: {name}"
        for path in COMMAND_LINE.rglob("*.py")
        if path.name not in MAY_WRITE
        for name in names(path)
        if name in WRITERS
    }
    assert printing == set()


def test_a_line_is_visible_on_a_terminal_and_into_a_pipe(
    screen: Callable[[], Screen], capsys: pytest.CaptureFixture[str]
) -> None:
    say(HOSTILE, (f"\n{HOSTILE}", "red"))
    tell(HOSTILE, style="red")
    assert tuple(capsys.readouterr()) == (f"{VISIBLE} {VISIBLE}\n", f"{VISIBLE}\n")
    shown = screen()
    say((HOSTILE, "red"))
    tell(HOSTILE, style="red")
    assert shown.getvalue() == f"\x1b[31m{VISIBLE}\x1b[0m\n" * 2


def test_whatever_reaches_rich_itself_is_visible(screen: Callable[[], Screen]) -> None:
    shown = screen()
    for console in (out(), err()):
        console.print(HOSTILE, Text(HOSTILE), Text("x", style=Style(link=f"https://x/{HOSTILE}")))
        with Progress(TextColumn(HOSTILE), console=console, transient=True) as bars:
            bars.add_task(HOSTILE)
            bars.console.print(HOSTILE)
    assert "\x1b[2J" not in shown.getvalue()
    assert not {"\x07", "\u202e", "\x9b"} & set(shown.getvalue())
    assert "]52" in shown.getvalue()
    assert "]8;" not in shown.getvalue()


def test_what_is_waited_for_is_told_on_a_terminal_alone(
    screen: Callable[[], Screen], capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting("opening") as now:
        now("step 1")
    assert tuple(capsys.readouterr()) == ("", "")
    shown = screen()
    with waiting("opening") as now:
        for what, visible in (("opening", "opening"), (HOSTILE, VISIBLE)):
            now(what)
            wait_until(partial(contains, shown, visible), limit_seconds=30, what="the spinner's next turn")
    assert not {"\x07", "\u202e", "\x9b"} & set(shown.getvalue())


def test_the_rows_of_a_table_keep_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], [(words("a\tb"), words("c\r\nd")), (words(HOSTILE), words())])
    assert capsys.readouterr().out == f"a b\tc d\n{VISIBLE}\t\n"


def test_json_on_a_terminal_holds_nothing_that_acts(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_json({"title": f"{HOSTILE}\x7f🚀"})
    assert capsysbinary.readouterr().out.decode() == (
        '{\n  "title": "a\\u001b[2J\\u001b]52;c;cm0=\\u0007\\u202eb\\u009b1mc\\u007f🚀"\n}\n'
    )
