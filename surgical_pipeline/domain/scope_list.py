"""A scope made of many texts: scope texts and addresses, from the command line, a file or a pipe."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from surgical_pipeline.domain.scope import MAX_ENTITIES, Scope, ScopeError
from surgical_pipeline.domain.web_address import is_address, scope_of_address

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Item:
    """One scope text or address. ``place``: such as ``scopes.txt, line 3``; empty for an argument."""

    text: str
    place: str = ""

    @property
    def is_address(self) -> bool:
        return is_address(self.text)

    def scope(self, gitlab_url: str) -> Scope:
        return scope_of_address(self.text, gitlab_url) if self.is_address else Scope.parse(self.text)


def items_of(text: str, source: str) -> Iterator[Item]:
    """The items of a list, one per line or separated by blanks.

    ``#`` at the beginning of a line or after a blank begins a comment, to the end of the line. Followed by
    a digit, it is an error: an issue without its project.

    Raises:
        ScopeError: such a ``#12``, or no item at all.
    """
    found = False
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        place = f"{source}, line {number}"
        for word in line.removeprefix(_BYTE_ORDER_MARK).split():
            if word.startswith("#"):
                if word[1:2].isdigit():
                    raise ScopeError(
                        f"{place}: {word} names no project: write group/project{word}, or # {word[1:]}"
                    )
                break
            found = True
            yield Item(word, place)
    if not found:
        raise ScopeError(f"{source} names no issue or merge request")


def scope_of_items(items: Iterable[Item], *, gitlab_url: str) -> Scope:
    """All of them as one scope of one project.

    Args:
        items: at least one.
        gitlab_url: the GitLab that addresses must belong to; not used without addresses.

    Raises:
        ScopeError: with the place of the item that is invalid or names a second project.
    """
    first: Scope | None = None
    issue_iids: set[int] = set()
    mr_iids: set[int] = set()
    for item in items:
        try:
            scope = item.scope(gitlab_url)
            first = first or scope
            if scope.project != first.project:
                Scope.merged((first, scope))
        except ScopeError as error:
            raise ScopeError(f"{item.place}: {error}" if item.place else str(error)) from error
        issue_iids |= set(scope.issue_iids)
        mr_iids |= set(scope.mr_iids)
        if len(issue_iids) + len(mr_iids) > MAX_ENTITIES:
            break
    return Scope.of(first.project if first else "", issue_iids=issue_iids, mr_iids=mr_iids)
