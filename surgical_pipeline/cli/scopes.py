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


def read_list(name: str) -> bytes:
    """What a file holds; ``-`` is stdin.

    Raises:
        ScopeError: it cannot be read, or is longer than any list.
    """
    if name == "-":
        content = sys.stdin.buffer.read(MAX_LIST_BYTES + 1)
    else:
        try:
            with open(name, "rb") as file:  # noqa: PTH123  Path("") would be the folder we are in
                content = file.read(MAX_LIST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ScopeError(f"the list {name!r} cannot be read: {reason}") from error
    if len(content) > MAX_LIST_BYTES:
        raise ScopeError(
            f"{_named(name)} is longer than {MAX_LIST_BYTES // 2**20} MB: that is no list of entities"
        )
    return content


def listed(name: str, content: bytes) -> Iterator[Item]:
    """The items of a text list.

    Raises:
        ScopeError: it is no UTF-8 text, or has no items.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ScopeError(f"{_named(name)}, line {line}: this is no UTF-8 text") from error
    yield from items_of(text, _named(name))


def _items(argument: str) -> Iterator[Item]:
    if argument == "-":
        yield from listed("-", read_list("-"))
    elif argument.startswith("@"):
        name = argument.removeprefix("@")
        yield from listed(name, read_list(f"./{name}" if name == "-" else name))
    else:
        yield Item(argument)


def _named(name: str) -> str:
    return "stdin" if name == "-" else name
