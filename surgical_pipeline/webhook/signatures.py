"""Whether a delivery comes from who knows our secret: GitLab's signature, else its secret token."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor

from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

_SIGNATURE, _TIMESTAMP, _ID, _TOKEN = "webhook-signature", "webhook-timestamp", "webhook-id", "x-gitlab-token"


@dataclass(frozen=True, slots=True)
class Verified:
    """``sent_at``: the signed time, by GitLab's clock, to the second; None if the delivery was not signed."""

    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unverified:
    """``reason``: a sentence for log and answer. ``only_age``: signed by who knows the secret, at another time."""

    reason: str
    only_age: bool = False


class Verifier:
    """The secrets of this receiver. A signature that is present must hold, whatever token comes with it.

    Args:
        secrets: values of ``X-Gitlab-Token`` that are accepted.
        signing_tokens: GitLab's signing tokens (``whsec_…``) that are accepted. Neither: everything is accepted.
    """

    def __init__(self, *, secrets: Sequence[SecretStr] = (), signing_tokens: Sequence[SecretStr] = ()) -> None:
        self._secrets = [secret.get_secret_value().encode() for secret in secrets]
        self._webhooks = [Webhook(token.get_secret_value()) for token in signing_tokens]

    def check_headers(self, headers: Mapping[str, str]) -> Unverified | None:
        """What the headers alone rule out, so that the body need not be kept; names in lower case."""
        if not self._secrets and not self._webhooks:
            return None
        if _SIGNATURE in headers:
            return (
                None
                if self._webhooks
                else Unverified("it is signed, and SURGICAL_WEBHOOK_SIGNING_TOKEN is not set")
            )
        if not self._secrets:
            return Unverified("it is not signed: set the signing token in the hook's settings in GitLab")
        if _TOKEN not in headers:
            return Unverified("it has neither a signature nor a secret token")
        given = headers[_TOKEN].encode(errors="surrogateescape")
        matches = [hmac.compare_digest(given, secret) for secret in self._secrets]
        return None if any(matches) else Unverified("its secret token is another than SURGICAL_WEBHOOK_SECRET")

    def check(self, headers: Mapping[str, str], body: bytes) -> Verified | Unverified:
        """The whole verdict."""
        refused = self.check_headers(headers)
        if refused is not None:
            return refused
        if _SIGNATURE not in headers or not self._webhooks:
            return Verified()
        if any(_holds(webhook, headers, body) for webhook in self._webhooks):
            return Verified(sent_at=_timestamp(headers))
        if any(_was_signed(webhook, headers, body) for webhook in self._webhooks):
            return Unverified(
                "it was signed more than 5 minutes before or after now. If that goes on, a clock is wrong, this "
                "machine's or GitLab's",
                only_age=True,
            )
        return Unverified("its signature does not hold")


def _holds(webhook: Webhook, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # no UTF-8, no base64, a signature without a comma
        return False
    return True


def _was_signed(webhook: Webhook, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the signature is right apart from its time, so that only a clock can be wrong."""
    moment = _timestamp(headers)
    if moment is None:
        return False
    try:
        expected = webhook.sign(headers.get(_ID, ""), moment, body.decode())
    except ValueError:
        return False
    given = headers[_SIGNATURE].split(" ")
    return any(hmac.compare_digest(expected.encode(), one.encode(errors="surrogateescape")) for one in given)


def _timestamp(headers: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromtimestamp(floor(float(headers.get(_TIMESTAMP, ""))), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
