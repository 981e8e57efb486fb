import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from surgical_pipeline.webhook.signatures import Unverified, Verified, Verifier

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
BODY = b'{"object_kind": "issue"}'


def token(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


def verifier(*, secrets: Sequence[str] = (), keys: Sequence[bytes] = ()) -> Verifier:
    return Verifier(
        secrets=[SecretStr(secret) for secret in secrets],
        signing_tokens=[SecretStr(token(key)) for key in keys],
    )


def signed(key: bytes = KEY, body: bytes = BODY, *, at: float | None = None) -> dict[str, str]:
    """Headers as GitLab makes them, written out here apart from the library that verifies them."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(key, b".".join([b"delivery-1", stamp.encode(), body]), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": "delivery-1", "webhook-timestamp": stamp, "webhook-signature": signature}


def test_a_signed_delivery_gives_gitlabs_time() -> None:
    headers = signed()
    verdict = verifier(keys=[KEY]).check(headers, BODY)
    assert verdict == Verified(datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC))


def test_a_secret_token_gives_no_time_even_beside_a_timestamp() -> None:
    headers = {"x-gitlab-token": "abc", "webhook-timestamp": str(int(time.time())), "webhook-id": "delivery-1"}
    assert verifier(secrets=["abc"]).check(headers, BODY) == Verified(sent_at=None)


@pytest.mark.parametrize("number", [0, 1])
def test_while_secrets_are_replaced_each_of_them_is_accepted(number: int) -> None:
    both = verifier(secrets=["old", "new"], keys=[KEY, OTHER_KEY])
    assert isinstance(both.check({"x-gitlab-token": ["old", "new"][number]}, BODY), Verified)
    assert isinstance(both.check(signed([KEY, OTHER_KEY][number]), BODY), Verified)


def test_a_signature_that_does_not_hold_is_not_saved_by_the_right_token() -> None:
    both = verifier(secrets=["abc"], keys=[KEY])
    wrong = signed(OTHER_KEY) | {"x-gitlab-token": "abc"}
    assert both.check(wrong, BODY) == Unverified("its signature does not hold")


def test_a_signature_that_nobody_here_can_check_is_not_saved_by_the_right_token() -> None:
    verdict = verifier(secrets=["abc"]).check(signed() | {"x-gitlab-token": "abc"}, BODY)
    assert verdict == Unverified("it is signed, and SURGICAL_WEBHOOK_SIGNING_TOKEN is not set")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "neither a signature nor a secret token"),
        ({"x-gitlab-token": "abd"}, "its secret token is another"),
        ({"x-gitlab-token": ""}, "its secret token is another"),
        ({"x-gitlab-token": "abc "}, "its secret token is another"),
        ({"x-gitlab-token": "\xe4bc"}, "its secret token is another"),
    ],
)
def test_a_wrong_or_missing_token_is_refused_by_the_headers_alone(headers: dict[str, str], reason: str) -> None:
    refused = verifier(secrets=["abc"], keys=[KEY]).check_headers(headers)
    assert refused is not None
    assert reason in refused.reason
    assert not refused.only_age


def test_where_only_signatures_count_a_token_does_not() -> None:
    refused = verifier(keys=[KEY]).check({"x-gitlab-token": "abc"}, BODY)
    assert isinstance(refused, Unverified)
    assert "not signed" in refused.reason


@pytest.mark.parametrize("minutes", [-6, -60 * 24, 6])
def test_a_delivery_that_only_its_age_refuses_is_told_apart(minutes: int) -> None:
    verdict = verifier(keys=[OTHER_KEY, KEY]).check(signed(at=time.time() + 60 * minutes), BODY)
    assert isinstance(verdict, Unverified)
    assert verdict.only_age
    assert "clock" in verdict.reason


def test_an_old_delivery_with_a_wrong_signature_is_a_wrong_signature() -> None:
    verdict = verifier(keys=[KEY]).check(signed(OTHER_KEY, at=time.time() - 3600), BODY)
    assert verdict == Unverified("its signature does not hold")


@pytest.mark.parametrize("minutes", [-4, 4])
def test_five_minutes_are_allowed(minutes: int) -> None:
    assert isinstance(verifier(keys=[KEY]).check(signed(at=time.time() + 60 * minutes), BODY), Verified)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "v1,a"},
        {"webhook-signature": "v1,\xff"},
        {"webhook-signature": ",,,,"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
        {"webhook-id": ""},
        {"webhook-id": "delivery-2"},
    ],
)
def test_odd_headers_are_refused_and_raise_nothing(changed: dict[str, str]) -> None:
    verdict = verifier(keys=[KEY]).check(signed() | changed, BODY)
    assert verdict == Unverified("its signature does not hold")


def test_a_body_that_is_no_text_is_refused_and_raises_nothing() -> None:
    verdict = verifier(keys=[KEY]).check(signed(body=b"\xff\xfe"), b"\xff\xfe")
    assert isinstance(verdict, Unverified)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-gitlab-token"]),
        st.text(st.characters(max_codepoint=255)),
    ),
    st.binary(),
)
def test_nothing_that_is_made_up_passes_or_raises(headers: dict[str, str], body: bytes) -> None:
    assert isinstance(verifier(secrets=["abc" * 11], keys=[KEY]).check(headers, body), Unverified)


def test_without_any_secret_everything_is_accepted() -> None:
    assert verifier().check({"webhook-signature": "v1,AAAA"}, BODY) == Verified()
