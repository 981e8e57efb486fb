import httpx
import pytest

from surgical_pipeline.gitlab.urls import ApiUrls, path_of, resolve


def test_no_segment_of_a_path_leads_elsewhere() -> None:
    url = ApiUrls("https://host/git").build("projects", "../..?a=b#c", "x/y", params=[("iids[]", "1")])
    assert str(url) == "https://host/git/api/v4/projects/..%2F..%3Fa%3Db%23c/x%2Fy?iids%5B%5D=1"
    assert path_of(url) == "/git/api/v4/projects/..%2F..%3Fa%3Db%23c/x%2Fy"


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("https://host/git/api/v4/projects/7", True),
        ("https://host:443/git/api/v4/projects/7", True),
        ("https://HOST/git/api/v4/projects/7", True),
        ("http://host/git/api/v4/projects/7", False),
        ("https://host:444/git/api/v4/projects/7", False),
        ("https://host.evil/git/api/v4/projects/7", False),
        ("https://user@host/git/api/v4/projects/7", False),
        ("https://host/api/v4/projects/7", False),
        ("https://host/git/api/v4", False),
        ("https://host/git/api/v4/%2e%2e/users", False),
        ("https://host/git/api/v4/..", False),
    ],
)
def test_only_addresses_below_the_api_count_as_inside(address: str, inside: bool) -> None:
    assert ApiUrls("https://host/git").in_api(httpx.URL(address)) is inside


def test_a_relative_address_is_resolved_and_an_unreadable_one_is_none() -> None:
    base = httpx.URL("https://host/api/v4/projects/a")
    assert str(resolve(base, "/api/v4/projects/7")) == "https://host/api/v4/projects/7"
    assert resolve(base, "https://host:port/") is None
