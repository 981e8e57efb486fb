"""What the sensors are told to watch."""

import pytest

from surgical_pipeline.domain.watches import MAX_WATCHES, Watch, WatchError, parse_watches


def test_projects_and_groups_are_named_with_commas_between_them() -> None:
    watches = parse_watches(" acme/rocket, 42 ,acme/tools/*,, Acme/Rocket")
    assert [str(watch) for watch in watches] == ["Acme/Rocket", "42", "acme/tools/*"]
    assert [watch.is_group for watch in watches] == [False, False, True]


def test_what_lies_in_a_watched_group_is_watched_once() -> None:
    assert parse_watches("acme/rocket,acme/tools/*,acme/*,42") == (Watch("acme", is_group=True), Watch("42"))


def test_nothing_named_is_nothing_watched() -> None:
    assert parse_watches(" , ") == ()


@pytest.mark.parametrize(
    "text", ["rocket", "*", "acme/**", "acme/rocket#1", "-1", "0", "acme//x", "../x", "acme/*/x", "a b/c", "/*"]
)
def test_what_names_no_project_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(WatchError, match=r"names no project: write group/project, its numeric id, or group/\*"):
        parse_watches(f"acme/rocket,{text}")


def test_too_many_entries_are_refused_with_the_advice_to_name_groups() -> None:
    fitting = ",".join(f"acme/p{number}" for number in range(MAX_WATCHES))
    assert len(parse_watches(fitting)) == MAX_WATCHES
    with pytest.raises(WatchError, match=r"51 projects and groups .* at most 50: name whole groups as group/\*"):
        parse_watches(f"{fitting},acme/one-more")


@pytest.mark.parametrize(
    ("watch", "project_id", "path", "covered"),
    [
        ("acme/rocket", 7, "Acme/Rocket", True),
        ("acme/rocket", 7, "acme/rocket2", False),
        ("7", 7, "any/thing", True),
        ("acme/*", 7, "acme/sub/rocket", True),
        ("acme/*", 7, "acme2/rocket", False),
    ],
)
def test_a_watch_covers_a_project_by_path_id_or_group(
    watch: str, project_id: int, path: str, *, covered: bool
) -> None:
    assert Watch.parse(watch).covers(project_id, path) is covered
