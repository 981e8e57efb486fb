from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import MAX_ENTITIES, Scope, ScopeError
from surgical_pipeline.domain.scope_list import Item, items_of, scope_of_items

GITLAB = "https://gitlab.example.com"


def scope(text: str) -> str:
    return str(scope_of_items(items_of(text, "list.txt"), gitlab_url=GITLAB))


@pytest.mark.parametrize(
    "text",
    [
        "acme/rocket#12\nacme/rocket!34\n",
        "acme/rocket#12 acme/rocket!34",
        "acme/rocket#12\r\nacme/rocket!34\r\n",
        "acme/rocket#12\racme/rocket!34",
        "\ufeffacme/rocket#12\n\ufeffacme/rocket!34",
        "\n\n  acme/rocket#12\t\xa0acme/rocket!34  \n\n",
        "# Monday\nacme/rocket#12 # the valve\n#\n#tidy\nacme/rocket!34 #! soon",
        f"{GITLAB}/acme/rocket/-/issues/12#note_5\nacme/rocket!34",
        f"acme/rocket#12 {GITLAB}/acme/rocket/-/merge_requests/34?x=1#note_7 # both",
        "acme/rocket#12\nacme/rocket#12!34",
    ],
)
def test_a_list_is_one_scope_however_it_is_written(text: str) -> None:
    assert scope(text) == "acme/rocket#12!34"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "list.txt names no issue or merge request"),
        ("\ufeff\r\n \n# nothing yet\n", "list.txt names no issue or merge request"),
        ("acme/rocket#1\n\nrocket#2", "list.txt, line 3: a project is group/project"),
        ("# x\r\nacme/rocket#1\r\nacme/rocket#9-3", "list.txt, line 3: the range 9-3 runs backwards"),
        (
            "acme/rocket#1\nacme/other#2",
            "list.txt, line 2: one run serves one project, not acme/other",
        ),
        ("acme/rocket#1 #13", "list.txt, line 1: #13 names no project: write group/project#13, or # 13"),
        ("https://other/a/b/-/issues/1", "list.txt, line 1: https://other/a/b/-/issues/1 does not lie in"),
        ("a\x00b", "list.txt, line 1: a project is group/project"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ScopeError) as refused:
        scope(text)
    assert str(refused.value).startswith(sentence)


def test_an_argument_has_no_place() -> None:
    with pytest.raises(ScopeError) as refused:
        scope_of_items([Item("acme/rocket#1"), Item("acme/other#2")], gitlab_url="")
    assert str(refused.value).startswith("one run serves one project")


def test_a_list_may_be_as_long_as_a_scope() -> None:
    text = "\n".join(f"acme/rocket#{iid}" for iid in range(1, MAX_ENTITIES + 1))
    assert scope(text) == f"acme/rocket#1-{MAX_ENTITIES}"
    with pytest.raises(ScopeError, match="a scope holds at most 100,000 entities"):
        scope(f"{text} acme/rocket!1")


def test_a_long_text_is_told_around_the_place_where_it_goes_wrong() -> None:
    text = "acme/rocket#" + "+".join(map(str, range(1, 500))) + "+x+" + "+".join(map(str, range(500, 900)))
    with pytest.raises(ScopeError) as refused:
        Scope.parse(text)
    assert "499+x+500" in str(refused.value)
    assert f"at character {text.index('x+500') + 1}" in str(refused.value)
    assert len(str(refused.value)) < 320


@given(st.text(alphabet="ac/#!1 \n\r\t\ufeff+-") | st.text())
def test_any_list_is_a_scope_or_names_its_place(text: str) -> None:
    with suppress(ScopeError):
        assert Scope.parse(scope(text))
        return
    with pytest.raises(ScopeError, match=r"^list\.txt"):
        scope(text)
