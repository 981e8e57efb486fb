import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import (
    CHUNK_SIZE,
    MAX_ENTITIES,
    MAX_IID,
    EntityKey,
    EntityType,
    Scope,
    ScopeError,
)

segments = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,8}", fullmatch=True)
projects = st.lists(segments, min_size=2, max_size=4).map("/".join) | st.integers(1, 10**17).map(str)
iid_sets = st.frozensets(st.integers(1, 60) | st.integers(1, MAX_IID), max_size=40)


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    issues, mrs = draw(iid_sets), draw(iid_sets)
    if not issues | mrs:
        issues = frozenset({draw(st.integers(1, MAX_IID))})
    return Scope.of(draw(projects), issue_iids=issues, mr_iids=mrs)


def parsed_or_refused(text: str) -> Scope | ScopeError:
    try:
        return Scope.parse(text)
    except ScopeError as error:
        return error


@given(scopes())
def test_what_is_printed_parses_to_the_same_scope(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@given(scopes())
def test_printing_is_canonical(scope: Scope) -> None:
    assert str(Scope.parse(str(scope))) == str(scope)


@given(
    projects, st.lists(st.tuples(st.sampled_from("#!"), st.integers(1, 99)), min_size=1, max_size=30), st.data()
)
def test_order_and_duplicates_do_not_matter(
    project: str, entities: list[tuple[str, int]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(entities + entities[: len(entities) // 2]))

    written = project + "".join(f"{sigil}{iid}" for sigil, iid in entities)
    rewritten = project + "".join(f"{sigil}{iid}" for sigil, iid in shuffled)

    assert Scope.parse(written) == Scope.parse(rewritten)


@given(st.text(max_size=60) | st.text(alphabet="ab/._-#!+0123456789 \t,", max_size=60))
def test_nonsense_parses_or_names_the_place_where_it_stops_making_sense(text: str) -> None:
    result = parsed_or_refused(text)

    if isinstance(result, Scope):
        assert Scope.parse(str(result)) == result
        return
    assert 0 <= result.position <= len(text)
    assert result.text == text
    assert result.reason
    assert not text or f"at character {result.position + 1}" in str(result)


@given(scopes(), st.integers(1, 7))
def test_chunks_together_are_the_scope(scope: Scope, size: int) -> None:
    chunks = tuple(scope.chunks(size))

    assert all(1 <= len(chunk) <= size for chunk in chunks)
    assert sum(map(len, chunks)) == len(scope)
    assert Scope.merged(chunks) == scope


@pytest.mark.parametrize(
    ("text", "issues", "mrs"),
    [
        ("acme/rocket#12", (12,), ()),
        ("acme/rocket!34", (), (34,)),
        ("acme/rocket#3+7+19-21", (3, 7, 19, 20, 21), ()),
        ("acme/rocket#12!34+35", (12,), (34, 35)),
        ("acme/rocket!34#12!35#11", (11, 12), (34, 35)),
        ("acme/rocket#5-5", (5,), ()),
        ("acme/rocket#007", (7,), ()),
        ("acme/sub.group/deep_er/rocket-2#1", (1,), ()),
        (f"acme/rocket#{MAX_IID}", (MAX_IID,), ()),
        ("4711#1!2", (1,), (2,)),
    ],
)
def test_gitlabs_own_notation_is_understood(text: str, issues: tuple[int, ...], mrs: tuple[int, ...]) -> None:
    scope = Scope.parse(text)

    assert (scope.issue_iids, scope.mr_iids) == (issues, mrs)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "a project is group/project"),
        ("#12", 0, "a project is group/project"),
        ("rocket#12", 0, "a project is group/project"),
        ("a...b", 0, "a project is group/project"),
        ("a...b#1", 0, "a project is group/project"),
        ("\tacme/rocket#1", 0, "a project is group/project"),
        ("acme/rocket\t#1", 11, "a project is group/project"),
        ("acme//rocket#1", 0, "a project is group/project"),
        ("https://gitlab.com/acme/rocket#1", 0, "a project is group/project"),
        ("acme/rocket", 11, "the scope is empty"),
        ("acme/rocket#", 12, "positive whole number, found the end"),
        ("acme/rocket#0", 12, "an IID lies between 1 and"),
        ("acme/rocket#-3", 12, "positive whole number, found '-'"),
        ("acme/rocket#x", 12, "positive whole number, found 'x'"),
        ("acme/rocket#1.5", 13, "found '.'"),
        ("acme/rocket#1,2", 13, "found ','"),
        ("acme/rocket#1\t", 13, r"found '\\t'"),
        ("acme/rocket#1\n", 13, r"found '\\n'"),
        ("acme/rocket##1", 12, "found '#'"),
        ("acme/rocket#1+", 14, "found the end"),
        ("acme/rocket#1-2-3", 15, "found '-'"),
        ("acme/rocket#٣", 12, "positive whole number"),
        ("acme/rocket#42-19", 12, "the range 42-19 runs backwards"),
        (f"acme/rocket#{MAX_IID + 1}", 12, "an IID lies between 1 and"),
        (f"acme/rocket#{'9' * 5000}", 12, "an IID lies between 1 and"),
        ("acme/rocket#1-999999999", 12, "names more than 100,000 entities"),
        ("acme/rocket#1 acme/booster#2", 13, "one scope text names one project"),
        ("acme/rocket#1+acme/booster#2", 14, "one scope text names one project"),
    ],
)
def test_a_text_that_cannot_be_meant_is_refused_at_its_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(ScopeError, match=reason) as caught:
        Scope.parse(text)

    assert caught.value.position == position


def test_more_than_the_limit_is_refused_where_the_list_gets_too_long() -> None:
    with pytest.raises(ScopeError, match="at most 100,000 entities"):
        Scope.parse(f"acme/rocket#1-{MAX_ENTITIES}!1")


def test_exactly_the_limit_is_accepted() -> None:
    assert len(Scope.parse(f"acme/rocket#1-{MAX_ENTITIES}")) == MAX_ENTITIES


def test_an_empty_scope_cannot_be_built() -> None:
    with pytest.raises(ScopeError, match="the scope of acme/rocket is empty"):
        Scope.of("acme/rocket")


@pytest.mark.parametrize("iid", [0, -1, MAX_IID + 1])
def test_an_impossible_iid_cannot_be_built(iid: int) -> None:
    with pytest.raises(ScopeError, match=f"!{iid} does not"):
        Scope.of("acme/rocket", mr_iids=[iid])


def test_too_many_entities_cannot_be_built() -> None:
    with pytest.raises(ScopeError, match="this one has 100,001"):
        Scope.of("acme/rocket", issue_iids=range(1, MAX_ENTITIES + 2))


def test_a_project_that_is_neither_path_nor_id_cannot_be_built() -> None:
    with pytest.raises(ScopeError, match="a project is group/project"):
        Scope.of("rocket", issue_iids=[1])


def test_scopes_of_two_projects_do_not_merge() -> None:
    with pytest.raises(ScopeError, match="one run serves one project, not acme/booster and acme/rocket"):
        Scope.merged([Scope.parse("acme/rocket#1"), Scope.parse("acme/booster#1")])


def test_merging_nothing_is_an_empty_scope() -> None:
    with pytest.raises(ScopeError, match="the scope is empty"):
        Scope.merged([])


def test_keys_are_issues_then_merge_requests_by_iid() -> None:
    scope = Scope.parse("acme/rocket!2+1#9+3")

    assert [str(key) for key in scope.keys()] == ["#3", "#9", "!1", "!2"]  # noqa: SIM118  no mapping
    assert [scope.name(key) for key in scope.keys()][0] == "acme/rocket#3"  # noqa: SIM118, RUF015


def test_a_scope_contains_the_entities_it_names_and_no_others() -> None:
    scope = Scope.parse("acme/rocket#12!34")

    assert EntityKey(EntityType.ISSUE, 12) in scope
    assert EntityKey(EntityType.MERGE_REQUEST, 12) not in scope


def test_ranges_are_printed_from_three_neighbours_on() -> None:
    assert str(Scope.of("acme/rocket", issue_iids=[1, 2, 5, 6, 7])) == "acme/rocket#1+2+5-7"


def test_a_chunk_is_a_hundred_entities() -> None:
    chunks = tuple(Scope.parse("acme/rocket#1-150!1-60").chunks())

    assert [str(chunk) for chunk in chunks] == [
        "acme/rocket#1-100",
        "acme/rocket#101-150!1-50",
        "acme/rocket!51-60",
    ]
    assert len(chunks[0]) == CHUNK_SIZE
