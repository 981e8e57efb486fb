from http import HTTPStatus

import pytest
from pydantic import SecretStr

from surgical_pipeline.metrics.access import is_loopback, refusal

TOKEN = SecretStr("t0ken-of-prometheus")


def status(headers: dict[str, str], client: str | None, *, token: SecretStr | None = None) -> HTTPStatus | None:
    found = refusal(headers, client, token=token)
    return found and found[0]


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_this_machine_may_read(client: str) -> None:
    assert status({}, client) is None


@pytest.mark.parametrize("client", ["10.0.0.7", "fe80::1%eth0", "::ffff:10.0.0.7", "not-an-address", None])
def test_without_a_token_no_other_machine_may_read(client: str | None) -> None:
    assert status({"authorization": "Bearer x"}, client) is HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_who_came_through_a_proxy_is_not_at_this_machine(header: str) -> None:
    assert status({header: "127.0.0.1"}, "127.0.0.1") is HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("shown", ["Bearer t0ken-of-prometheus", "bearer  t0ken-of-prometheus "])
def test_who_shows_the_token_may_read_from_anywhere(shown: str) -> None:
    assert status({"authorization": shown, "x-forwarded-for": "10.0.0.7"}, "10.0.0.7", token=TOKEN) is None


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer ", "Bearer t0ken", "Basic t0ken-of-prometheus", "Bearer \udc80", "t0ken-of-prometheus"],
)
def test_where_a_token_is_set_this_machine_needs_it_too(shown: str) -> None:
    refused = refusal({"authorization": shown}, "127.0.0.1", token=TOKEN)
    assert refused is not None
    assert refused[0] is HTTPStatus.UNAUTHORIZED
    assert TOKEN.get_secret_value() not in refused[1]


def test_a_name_is_loopback_only_if_it_is_localhost() -> None:
    assert is_loopback("localhost")
    assert not is_loopback("localhost.example.org")
    assert not is_loopback("0.0.0.0")  # noqa: S104  nobody listens
