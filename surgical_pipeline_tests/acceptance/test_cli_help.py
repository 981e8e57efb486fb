"""What the program says of itself: every command, option and argument is explained, and in the README."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline_tests.acceptance.installation import called
from surgical_pipeline_tests.surroundings import REPOSITORY


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command, groups too: (), ("sync",), ("runs",), ("runs", "list"), ..."""
    pending: list[tuple[tuple[str, ...], object]] = [((), typer.main.get_command(app))]
    for words, command in pending:
        yield words
        children = getattr(command, "commands", {})
        pending += [((*words, name), child) for name, child in children.items()]


def command_at(words: Sequence[str]) -> Any:
    """Typer's own object for it."""
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


COMMANDS = tuple(commands())
NAMES = [" ".join(words) or "surgical-pipeline" for words in COMMANDS]


@pytest.mark.parametrize("words", COMMANDS, ids=NAMES)
def test_every_command_has_help_that_names_its_options(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert shown.exit_code == 0, shown.output
    for parameter in command_at(words).params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in shown.output


@pytest.mark.parametrize("words", COMMANDS, ids=NAMES)
def test_every_command_option_and_argument_says_what_it_is_for(words: tuple[str, ...]) -> None:
    command = command_at(words)
    assert command.help
    silent = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
    assert silent == []


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words and not hasattr(command_at(words), "commands")], ids=" ".join
)
def test_every_command_is_named_in_the_readme(words: tuple[str, ...]) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert re.search(f"`(surgical-pipeline )?{' '.join(words)}[ `]", readme)


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version  # noqa: PLC0415  of no use to the other tests

    shown = called("--version")
    assert (shown.exit_code, shown.stdout.strip()) == (0, version("surgical-pipeline"))
