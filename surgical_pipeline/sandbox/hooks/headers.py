"""The headers of a delivery."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox.hooks.models import HookSpec, signing_key
from surgical_pipeline.sandbox.payloads import WEB

if TYPE_CHECKING:
    from datetime import datetime

    from surgical_pipeline.sandbox.hooks.bodies import Trigger

_NAMES: Final[dict[Trigger, str]] = {
    "issues": "Issue Hook",
    "confidential_issues": "Confidential Issue Hook",
    "merge_requests": "Merge Request Hook",
    "note": "Note Hook",
    "confidential_note": "Confidential Note Hook",
    "emoji": "Emoji Hook",
    "project": "System Hook",
}


def event_name(spec: HookSpec, trigger: Trigger) -> str:
    """`X-Gitlab-Event`; what system hooks send is called by one name."""
    return "System Hook" if spec.kind == "system" else _NAMES[trigger]


def delivery_headers(
    spec: HookSpec, body: bytes, *, event: str, key: str, event_uuid: str, now: datetime
) -> dict[str, str]:
    """All headers of one delivery.

    `key` stays the same when a delivery is sent again, `event_uuid` is shared by all hooks of one edit, and
    `X-Gitlab-Webhook-UUID` is new each time, as in GitLab.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitLab/18.5.2",
        "Idempotency-Key": key,
        "X-Gitlab-Event": event,
        "X-Gitlab-Webhook-UUID": str(uuid.uuid4()),
        "X-Gitlab-Instance": WEB,
        "X-Gitlab-Event-UUID": event_uuid,
    }
    if spec.token is not None:
        headers["X-Gitlab-Token"] = spec.token
    if spec.signing_token is not None:
        timestamp = str(int(now.timestamp()) + spec.timestamp_offset_seconds)
        headers |= {
            "webhook-id": key,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(spec.signing_token, body, key=key, timestamp=timestamp),
        }
    return headers


def signature(token: str, body: bytes, *, key: str, timestamp: str) -> str:
    """`v1,` and the HMAC-SHA256 of id, timestamp and body in base64, by the scheme of Standard Webhooks."""
    signed = f"{key}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(signing_key(token), signed, hashlib.sha256)).decode()
