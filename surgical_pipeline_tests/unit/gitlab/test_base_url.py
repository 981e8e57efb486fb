import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.gitlab.base_url import validate_base_url
from surgical_pipeline.gitlab.urls import ApiUrls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://gitlab.com", "https://gitlab.com"),
        (" https://GitLab.Example.com/ \n", "https://gitlab.example.com"),
        ("http://127.0.0.1:8929", "http://127.0.0.1:8929"),
        ("https://[::1]:8443/git/", "https://[::1]:8443/git"),
        ("https://host/gitlab//", "https://host/gitlab"),
        ("https://host/api/v4/", "https://host"),
        ("https://host/gitlab/api/v4", "https://host/gitlab"),
        ("HTTPS://host", "https://host"),
    ],
)
def test_a_base_url_is_brought_into_one_form(text: str, expected: str) -> None:
    assert validate_base_url(text) == expected
    assert validate_base_url(expected) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begin with http"),
        ("gitlab.com", "begin with http"),
        ("ftp://gitlab.com", "begin with http"),
        ("file:///etc/passwd", "begin with http"),
        ("javascript:alert(1)", "begin with http"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://user:hunter2@host", "user name or password"),
        ("https://hunter2@host", "user name or password"),
        ("https://host?private_token=hunter2", "query or fragment"),
        ("https://host/?", "query or fragment"),
        ("https://host#hunter2", "query or fragment"),
        ("https://host:port", "cannot be read"),
        ("https://host:99999", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://ho st", "spaces"),
        ("https://host\\@evil", "backslashes"),
        ("https://ho\nst", "spaces"),
        ("https://host/../x", "segments"),
        ("https://host//x", "segments"),
    ],
)
def test_a_base_url_that_cannot_be_meant_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        validate_base_url(text)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


@given(st.text() | st.text().map(lambda rest: f"https://{rest}"))
def test_any_text_is_a_base_url_or_a_value_error(text: str) -> None:
    try:
        url = validate_base_url(text)
    except ValueError:
        return
    assert validate_base_url(url) == url
    ApiUrls(url).build("projects", "a/b")
