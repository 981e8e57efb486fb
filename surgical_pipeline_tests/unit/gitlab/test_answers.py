from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.gitlab.answers import (
    RateLimitWindow,
    decoded_json,
    error_for,
    rate_limit_window,
    retry_after_seconds,
)
from surgical_pipeline.gitlab.errors import InvalidPayloadError, NotFoundError, ProjectNotFoundError, ServerError
from surgical_pipeline.gitlab.foreign import MAX_QUOTED_LENGTH

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
JSON = {"content-type": "application/json"}


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        (" 17 ", 17),
        (http_date(NOW + timedelta(seconds=90)), 90),
        (http_date(NOW - timedelta(seconds=90)), 0),
        ("9" * 400, 10**9),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    assert retry_after_seconds(httpx.Headers([(b"retry-after", text.encode())]), NOW) == expected


def test_the_servers_own_clock_is_the_reference() -> None:
    """A server an hour ahead of us asks for 30 seconds, not for an hour and 30 seconds."""
    theirs = NOW + timedelta(hours=1)
    headers = httpx.Headers({"date": http_date(theirs), "retry-after": http_date(theirs + timedelta(seconds=30))})
    assert retry_after_seconds(headers, NOW) == 30
    reset = str(int(theirs.timestamp()) + 20)
    headers = httpx.Headers({"date": http_date(theirs), "ratelimit-remaining": "5", "ratelimit-reset": reset})
    assert rate_limit_window(headers, NOW) == RateLimitWindow(5, 20)


@given(
    st.dictionaries(st.sampled_from(["retry-after", "date", "ratelimit-remaining", "ratelimit-reset"]), st.text())
)
def test_whatever_the_headers_say_retry_after_is_none_or_seconds(headers: dict[str, str]) -> None:
    given_headers = httpx.Headers({name: value.encode("utf-8", "replace") for name, value in headers.items()})  # type: ignore[arg-type]
    seconds = retry_after_seconds(given_headers, NOW)
    assert seconds is None or seconds >= 0


def test_only_gitlabs_own_404_means_not_found() -> None:
    def error(content_type: str, body: bytes) -> Exception:
        response = httpx.Response(404, headers={"content-type": content_type})
        return error_for(response, body, path="/p", now=NOW)

    assert type(error("application/json", b'{"message": "404 Issue Not Found"}')) is NotFoundError
    assert type(error("application/json", b'{"message": "404 Project Not Found"}')) is ProjectNotFoundError
    assert type(error("application/json", b"[]")) is NotFoundError
    assert type(error("text/html", b"<h1>404 Project Not Found</h1>")) is InvalidPayloadError


def test_what_gitlab_says_is_shortened_to_one_line() -> None:
    body = b'{"message": "one\\n two\\u0000\\u001b[31m ' + b"x" * 500 + b'"}'
    error = error_for(httpx.Response(500, headers=JSON), body, path="/p", now=NOW)
    assert isinstance(error, ServerError)
    assert error.reason.startswith("GitLab answered 500 Internal Server Error: one two [31m xxx")
    assert len(error.reason) < MAX_QUOTED_LENGTH + 60
    assert error.message.endswith("(GET /p)")


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"message": {"base": ["x"]}}', b"{", b"\xff", b"[" * 100_000])
def test_any_error_body_is_survived(body: bytes) -> None:
    error = error_for(httpx.Response(599, headers=JSON), body, path="/p", now=NOW)
    assert error.reason == "GitLab answered 599"


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
def test_json_is_decoded_whatever_its_name(content_type: str | None) -> None:
    headers = httpx.Headers({"content-type": content_type} if content_type else {})
    assert decoded_json('{"ä": 1}'.encode(), headers, "/p") == {"ä": 1}


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("text/html", b'<form action="/users/sign_in">', "HTML login page"),
        ("text/html", b"<p>hello", "HTML page"),
        ("text/plain", b"hello", "text/plain, not JSON"),
        ("", b"hello", "of no known type"),
        ("application/json", b'{"a": ', "not whole, valid JSON"),
        ("application/json", b"Infinity", "not whole, valid JSON"),
    ],
)
def test_what_is_no_json_is_told_and_may_be_asked_for_again(content_type: str, body: bytes, said: str) -> None:
    with pytest.raises(InvalidPayloadError, match=said) as raised:
        decoded_json(body, httpx.Headers({"content-type": content_type}), "/p")
    assert raised.value.transient


@given(st.binary())
def test_any_bytes_are_json_or_an_invalid_payload(body: bytes) -> None:
    with suppress(InvalidPayloadError):
        decoded_json(body, httpx.Headers(JSON), "/p")
