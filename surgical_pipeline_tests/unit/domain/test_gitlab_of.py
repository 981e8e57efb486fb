import pytest

from surgical_pipeline.domain.scope import ScopeError
from surgical_pipeline.domain.web_address import checked_gitlab, gitlab_of


@pytest.mark.parametrize(
    ("web_url", "told"),
    [
        ("https://gitlab.example.com/acme/rocket", "https://gitlab.example.com"),
        ("http://GitLab.example.com:8080/git/acme/rocket", "http://gitlab.example.com:8080/git"),
        ("https://gitlab.example.com/acme/other", None),
        ("https://gitlab.example.com/macme/rocket", None),
        ("https://someone:secret@gitlab.example.com/acme/rocket", None),
        ("https://gitlab.example.com\x1b[2J/acme/rocket", None),
        ("https://[broken/acme/rocket", None),
        ("https:///acme/rocket", None),
        ("ftp://gitlab.example.com/acme/rocket", None),
    ],
)
def test_a_projects_address_tells_its_gitlab_or_nothing(web_url: str, told: str | None) -> None:
    assert gitlab_of(web_url, "acme/rocket") == told


@pytest.mark.parametrize(
    "text", ["gitlab.example.com", "https://", "https://a.test/?x=1", "https://a:b@c.test", ""]
)
def test_what_is_no_address_of_a_gitlab_is_refused(text: str) -> None:
    with pytest.raises(ScopeError):
        checked_gitlab(text)


def test_a_slash_at_the_end_says_nothing() -> None:
    assert checked_gitlab("https://gitlab.example.com/git/") == "https://gitlab.example.com/git"
