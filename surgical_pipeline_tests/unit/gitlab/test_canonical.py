import pytest

from surgical_pipeline.gitlab.canonical import MAX_NESTING, canonical, storable
from surgical_pipeline.gitlab.errors import InvalidPayloadError


def test_the_text_is_compact_in_the_order_given_and_not_escaped() -> None:
    assert canonical({"b": [1, 2.5, None, True], "a": "ü✓\n"}, "issue") == '{"b":[1,2.5,null,true],"a":"ü✓\\n"}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidPayloadError, match="GitLab's issue"):
        canonical([value], "issue")


def test_what_can_be_stored_is_left_alone() -> None:
    item = {"a": ["\\u0000", "😀", "\x1f"]}
    assert storable(item, "issue") == item


def test_what_no_database_stores_is_replaced() -> None:
    item = {"a\x00": ["x\ud83d", {"b": "\udc00"}], "n": 1}
    assert storable(item, "issue") == {"a\ufffd": ["x\ufffd", {"b": "\ufffd"}], "n": 1}


def nested(levels: int) -> object:
    """Lists in objects in lists, ``levels`` deep."""
    item: object = "leaf"
    for level in range(levels):
        item = [item] if level % 2 else {"a": item}
    return item


def test_only_so_much_nesting_is_stored() -> None:
    deep = nested(MAX_NESTING)
    wide: list[list[object]] = [[]] * 500
    assert storable(deep, "issue") is deep
    assert storable(wide, "issue") is wide
    for item in (nested(MAX_NESTING + 1), [wide, nested(MAX_NESTING)], nested(300)):
        with pytest.raises(InvalidPayloadError, match="issue is nested too deeply"):
            storable(item, "issue")
