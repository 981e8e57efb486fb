from collections.abc import Sequence
from typing import Any

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.gitlab.joined_pages import joined
from surgical_pipeline.gitlab.records import parse_dependent


def discussion(name: str, text: str = "hello") -> dict[str, Any]:
    return {"id": name, "individual_note": False, "notes": [{"id": len(name), "body": text}]}


def event(number: int, label: str = "bug") -> dict[str, Any]:
    return {"id": number, "action": "add", "label": {"name": label}}


def diff(path: str, text: str = "@@") -> dict[str, Any]:
    return {"new_path": path, "old_path": path, "diff": text}


LISTS: dict[Dependent, Sequence[dict[str, Any]]] = {
    Dependent.DISCUSSIONS: [discussion("a"), discussion("bb"), discussion("a", "later"), discussion("ccc")],
    Dependent.LABEL_EVENTS: [event(1), event(2), event(1, "later"), event(3)],
    Dependent.COMMITS: [{"id": "a"}, {"id": "b"}, {"id": "a", "title": "later"}, {"id": "c"}],
    Dependent.DIFFS: [diff("a.rs"), diff("b.rs"), diff("a.rs", "added"), diff("c.rs")],
}


@pytest.mark.parametrize("dependent", LISTS, ids=str)
@pytest.mark.parametrize("cut", range(5))
def test_pages_make_the_same_records_wherever_the_list_is_cut(dependent: Dependent, cut: int) -> None:
    """Rows that move come again on the next page, and two diffs of one path may be on two."""
    items = LISTS[dependent]
    pages = [parse_dependent(dependent, part) for part in (items[:cut], items[cut:])]
    whole = parse_dependent(dependent, items)
    assert joined(dependent, pages) == joined(dependent, [whole]) == whole
    assert len(whole) == (4 if dependent is Dependent.DIFFS else 3)
