from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.gitlab.answers import Answer
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.pagination import next_page
from surgical_pipeline.gitlab.urls import ApiUrls

URLS = ApiUrls("https://host/git")
FIRST = URLS.build("projects", 7, "issues", params=[("iids[]", "1"), ("iids[]", "2"), ("per_page", "100")])
LIST = "https://host/git/api/v4/projects/7/issues"


def after(headers: dict[str, str]) -> httpx.URL | None:
    answer = Answer(FIRST, httpx.Headers(headers), [], datetime(2024, 1, 1, tzinfo=UTC))
    return next_page(answer, FIRST)


@pytest.mark.parametrize(
    "link",
    [
        f'<{LIST}?page=2>; rel="next"',
        f"<{LIST}?page=2>;rel=next",
        f'<{LIST}?page=1>; rel="first", <{LIST}?page=2>; title="a, b"; rel="next"',
        f'<{LIST}?page=9>; rel="last",<{LIST}?page=2>; rel="up next"',
        '</git/api/v4/projects/7/issues?page=2>; rel="next"',
        '<?page=2>; REL="Next"',
    ],
)
def test_a_next_link_is_found_however_it_is_written(link: str) -> None:
    url = after({"link": link})
    assert url is not None
    assert url.params.multi_items() == [("iids[]", "1"), ("iids[]", "2"), ("per_page", "100"), ("page", "2")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"link": ""},
        {"link": "nonsense"},
        {"link": f'<{LIST}?page=1>; rel="first", <{LIST}?page=1>; rel="last"'},
        {"link": f'<{LIST}?page=2>; rel="nextish"'},
        {"x-next-page": ""},
        {"x-next-page": "  "},
    ],
)
def test_without_a_next_there_is_no_more(headers: dict[str, str]) -> None:
    assert after(headers) is None


def test_the_link_comes_before_the_number() -> None:
    url = after({"link": f'<{LIST}?cursor=abc>; rel="next"', "x-next-page": "2"})
    assert url is not None
    assert dict(url.params)["cursor"] == "abc"
    assert "page" not in url.params


@pytest.mark.parametrize(
    "base",
    [
        "http://host/git",
        "https://host:8443/git",
        "https://gitlab.example.com",
        "//gitlab.example.com/another/prefix",
        "https://host@gitlab.example.com/git",
        "https://token@host/git",
        "",
    ],
)
def test_of_a_link_to_any_host_or_prefix_only_the_parameters_are_taken(base: str) -> None:
    """It names GitLab's external_url, which behind a tunnel or a proxy is not where we reach it."""
    url = after({"link": f'<{base}/api/v4/projects/7/issues?page=2>; rel="next"'})
    assert str(url) == str(FIRST.copy_add_param("page", "2"))


@pytest.mark.parametrize(
    "target",
    [
        "https://host/git/api/v4/projects/8/issues?page=2",
        "https://host/git/api/v4/projects/7/issues/1/notes?page=2",
        "https://host/git/api/v4/user?page=2",
        "https://host/git/projects/7/issues?page=2",
        "https://host/api/v40/projects/7/issues?page=2",
        "javascript:alert(1)",
    ],
)
def test_a_next_link_to_another_list_is_refused(target: str) -> None:
    with pytest.raises(InvalidPayloadError, match="another list"):
        after({"link": f'<{target}>; rel="next"'})


@given(st.text(), st.text())
def test_no_header_leads_out_of_the_list(link: str, page: str) -> None:
    raw = [(b"link", link.encode()), (b"x-next-page", page.encode())]
    answer = Answer(FIRST, httpx.Headers(raw), [], datetime(2024, 1, 1, tzinfo=UTC))
    try:
        url = next_page(answer, FIRST)
    except InvalidPayloadError:
        return
    if url is not None:
        assert URLS.same_origin(url)
        assert url.path == FIRST.path
        assert url.params.get_list("iids[]") == ["1", "2"]
