"""The records of a list's pages, each page parsed as it came, joined as if they had come in one."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import DependentRecords
from surgical_pipeline.gitlab.records import unused_id


def joined(dependent: Dependent, pages: Sequence[DependentRecords]) -> DependentRecords:
    """Each record once: of one that came on two pages (rows move), the later, in the place of the first."""
    if len(pages) == 1:
        return pages[0]
    if dependent in EVENT_DEPENDENTS:
        return tuple(_once(pages, lambda one: one.event_id))
    if dependent is Dependent.DISCUSSIONS:
        return _numbered(_once(pages, lambda one: one.discussion_id))
    if dependent is Dependent.DIFFS:
        return _numbered(_all_diffs(pages))
    return _numbered(_once(pages, lambda one: one.record_id))


def _once(pages: Sequence[DependentRecords], identify: Callable[[Any], Hashable]) -> Iterable[Any]:
    return {identify(one): one for one in chain.from_iterable(pages)}.values()


def _all_diffs(pages: Sequence[DependentRecords]) -> Iterable[Any]:
    """Two diffs of one path are not the same diff, as within a page."""
    found: dict[str, Any] = {}
    for one in chain.from_iterable(pages):
        record: Any = one
        record_id = unused_id(record.record_id, found)
        found[record_id] = replace(record, record_id=record_id)
    return found.values()


def _numbered(records: Iterable[Any]) -> DependentRecords:
    return tuple(replace(one, position=position) for position, one in enumerate(records))
