import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope, ScopeError
from surgical_pipeline.domain.web_address import address_of, is_address, leads_to, scope_of_address

GITLAB = "https://gitlab.example.com"
ISSUE = "acme/rocket#12"


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("/acme/rocket/-/issues/12", ISSUE),
        ("/acme/rocket/-/work_items/12", ISSUE),
        ("/acme/rocket/-/issues/incident/12", ISSUE),
        ("/acme/rocket/-/merge_requests/34", "acme/rocket!34"),
        ("/acme/rocket/-/issues/12#note_99", ISSUE),
        ("/acme/rocket/-/issues/12?sort=asc&private_token=secret", ISSUE),
        ("/acme/rocket/-/issues/12/?a=b#note_1", ISSUE),
        ("/acme/rocket/-/issues/12/designs/a.png", ISSUE),
        ("/acme/rocket/-/merge_requests/34/diffs?commit_id=0a#line_1", "acme/rocket!34"),
        ("/acme/rocket/-/merge_requests/34/-/odd", "acme/rocket!34"),
        ("/acme/rocket/-/merge_requests/34.diff", "acme/rocket!34"),
        ("/a/b/c/d.e/-/issues/7", "a/b/c/d.e#7"),
        ("/acme%2Frocket/%2D/issues/1%32", ISSUE),
        ("/acme/rocket/-/issues/012", ISSUE),
    ],
)
def test_an_address_is_the_entity_that_it_shows(address: str, scope: str) -> None:
    assert str(scope_of_address(GITLAB + address, GITLAB)) == scope


@pytest.mark.parametrize(
    ("gitlab", "address"),
    [
        ("https://host/gitlab", "https://host/gitlab/acme/rocket/-/issues/12"),
        ("https://host/git%20lab", "https://host/git%20lab/acme/rocket/-/issues/12"),
        ("https://host", "http://HOST:80/acme/rocket/-/issues/12"),
        ("https://host", "HTTPS://Host.:443/acme/rocket/-/issues/12"),
        ("http://host:8080", "http://host:8080/acme/rocket/-/issues/12"),
        ("http://[::1]:8080", "http://[::1]:8080/acme/rocket/-/issues/12"),
        ("https://bücher.example", "https://xn--bcher-kva.example/acme/rocket/-/issues/12"),
    ],
)
def test_the_same_gitlab_may_be_written_in_several_ways(gitlab: str, address: str) -> None:
    assert str(scope_of_address(address, gitlab)) == ISSUE


@pytest.mark.parametrize(
    ("gitlab", "address"),
    [
        (GITLAB, "https://other.example.com/acme/rocket/-/issues/12"),
        (GITLAB, "https://gitlab.example.com.evil.test/acme/rocket/-/issues/12"),
        (GITLAB, "https://gitlab.example.com:8443/acme/rocket/-/issues/12"),
        ("https://host/gitlab", "https://host/acme/rocket/-/issues/12"),
        ("https://host/gitlab", "https://host/gitlab2/acme/rocket/-/issues/12"),
    ],
)
def test_another_host_or_prefix_is_refused_with_the_names_of_both(gitlab: str, address: str) -> None:
    with pytest.raises(ScopeError) as refused:
        scope_of_address(address, gitlab)
    assert str(refused.value) == f"{address} does not lie in {gitlab}, the GitLab that GITLAB_URL names"


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/acme/rocket",
        "/acme/rocket/-/issues",
        "/acme/rocket/-/issues/new",
        "/acme/rocket/-/issues/12x",
        "/acme/rocket/-/boards/12",
        "/acme/rocket/-/commit/0123abcd",
        "/acme/rocket/issues",
        "/groups/acme/-/work_items/12",
        "/groups/acme/-/epics/12",
        "/api/v4/projects/1/issues/12",
    ],
)
def test_a_page_of_something_else_is_refused_with_what_an_address_looks_like(address: str) -> None:
    with pytest.raises(ScopeError, match="is no issue or merge request of a project; such an address ends like"):
        scope_of_address(GITLAB + address, GITLAB)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("https://gitlab.example.com/rocket/-/issues/12", "a project is group/project"),
        ("https://gitlab.example.com/acme/../-/issues/12", "a project is group/project"),
        ("https://gitlab.example.com/acme/roc%0Aket/-/issues/12", "a project is group/project"),
        ("https://gitlab.example.com/acme/%252e/-/issues/12", "a project is group/project"),
        ("https://gitlab.example.com/acme/rocket/-/issues/0", "an IID lies between 1 and 2147483647"),
        ("https://gitlab.example.com/acme/rocket/-/issues/99999999999", "an IID lies between 1 and"),
        ("https://[gitlab/acme/rocket/-/issues/1", "an address that cannot be read"),
        ("https://gitlab.example.com:port/acme/rocket/-/issues/1", "an address that cannot be read"),
        ("https://gitlab.example.com@evil.test/acme/rocket/-/issues/1", "must not contain a user name"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(address: str, sentence: str) -> None:
    with pytest.raises(ScopeError, match=sentence):
        scope_of_address(address, GITLAB)


@pytest.mark.parametrize(
    "address",
    [
        "https://other/acme/rocket/-/issues/1?private_token=secret#secret",
        "https://gitlab.example.com/acme/rocket?private_token=secret",
        "https://ada:secret@gitlab.example.com/acme/rocket/-/issues/1",
    ],
)
def test_an_error_repeats_nothing_that_may_be_a_token(address: str) -> None:
    with pytest.raises(ScopeError) as refused:
        scope_of_address(address, GITLAB)
    assert "secret" not in str(refused.value)


@given(st.text(max_size=40) | st.text(alphabet="/-%25#?@:.issue0123[]\\", max_size=40))
def test_whatever_follows_the_host_is_a_scope_or_an_error(rest: str) -> None:
    for address in (f"https://{rest}", f"{GITLAB}/{rest}", f"{GITLAB}/a/b/-/issues/{rest}"):
        try:
            scope = scope_of_address(address, GITLAB)
        except ScopeError:
            continue
        assert Scope.parse(str(scope)) == scope


@pytest.mark.parametrize("key", [EntityKey(EntityType.ISSUE, 12), EntityKey(EntityType.MERGE_REQUEST, 34)])
def test_the_address_of_an_entity_leads_back_to_it(key: EntityKey) -> None:
    address = address_of("https://host/gitlab", "a/b.c", key)
    assert address is not None
    assert key in scope_of_address(address, "https://host/gitlab")
    assert leads_to(address, "a/b.c", key)


def test_a_project_known_by_its_number_has_no_address() -> None:
    assert address_of(GITLAB, "4201", EntityKey(EntityType.ISSUE, 12)) is None


@pytest.mark.parametrize(
    "address",
    [
        f"{GITLAB}/acme/rocket/-/issues/13",
        f"{GITLAB}/acme/rocket/-/merge_requests/12",
        f"{GITLAB}/other/rocket/-/issues/12",
        f"{GITLAB}/acme/rocket/-/issues/12\x1b]8;;https://evil.test",
        f"{GITLAB}/acme/rocket/-/issues/12 x\u202e",
        "javascript:alert(1)//acme/rocket/-/issues/12",
        "file:///acme/rocket/-/issues/12",
        "https://ada:pw@gitlab.example.com/acme/rocket/-/issues/12",
    ],
)
def test_an_address_that_is_not_of_this_entity_is_not_clickable(address: str) -> None:
    assert not leads_to(address, "acme/rocket", EntityKey(EntityType.ISSUE, 12))


def test_the_address_of_a_discussion_leads_to_its_entity() -> None:
    address = "https://host/gitlab/acme/rocket/-/issues/12#note_5"
    assert leads_to(address, "acme/rocket", EntityKey(EntityType.ISSUE, 12))


def test_only_http_begins_an_address() -> None:
    assert is_address("HTTP://x")
    assert not any(map(is_address, ("acme/rocket#12", "ftp://x", "https:x", "", "gitlab.example.com/a")))
