import pytest

from surgical_pipeline.gitlab.canonical import canonical, storable
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
