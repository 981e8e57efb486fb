"""The arguments of `sync`: scope texts, addresses, `@file` for a list of them, `-` for one on stdin."""

import sys
from collections.abc import Iterator, Sequence

from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.domain.scope_list import Item, items_of, scope_of_items
from surgical_pipeline.settings import Settings

MAX_LIST_BYTES = 64 * 2**20
"""More than the longest addresses of the largest scope take."""


def read_scope(arguments: Sequence[str]) -> Scope:
    """All arguments as one scope.

    Raises:
        ScopeError: an invalid scope, with its file and line if it is in one; a file that cannot be read.
        SettingsError: there is an address, but no GitLab is configured.
    """
    items = [item for argument in arguments for item in _items(argument)]
    with_address = any(item.is_address for item in items)
    return scope_of_items(items, gitlab_url=Settings.from_environment().gitlab_url if with_address else "")


def _items(argument: str) -> Iterator[Item]:
    if argument == "-":
        yield from items_of(_text("stdin", sys.stdin.buffer.read(MAX_LIST_BYTES + 1)), "stdin")
    elif argument.startswith("@"):
        name = argument.removeprefix("@")
        try:
            with open(name, "rb") as file:  # noqa: PTH123  Path("") would be the folder we are in
                content = file.read(MAX_LIST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ScopeError(f"the list {name!r} cannot be read: {reason}") from error
        yield from items_of(_text(name, content), name)
    else:
        yield Item(argument)


def _text(source: str, content: bytes) -> str:
    if len(content) > MAX_LIST_BYTES:
        raise ScopeError(f"{source} is longer than {MAX_LIST_BYTES // 2**20} MB: that is no list of entities")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ScopeError(f"{source}, line {line}: this is no UTF-8 text") from error
