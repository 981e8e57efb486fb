"""Hooks as the control routes take and show them."""

from __future__ import annotations

import base64
import binascii
from typing import Final, Literal, TypeAlias

from pydantic import Field, field_validator

from surgical_pipeline.sandbox.control_models import ControlModel

HookEvent: TypeAlias = Literal[
    "issues", "confidential_issues", "merge_requests", "note", "confidential_note", "emoji"
]
"""What can be ticked in GitLab for a project's or a group's hook."""

EVERY_EVENT: Final[tuple[HookEvent, ...]] = (
    "issues",
    "confidential_issues",
    "merge_requests",
    "note",
    "confidential_note",
    "emoji",
)
SIGNING_PREFIX: Final = "whsec_"


class HookSpec(ControlModel):
    """A hook to register, and how its deliveries go wrong.

    `kind` says whose it is: one project's, a group's with all its subgroups (`group` is its full path), or the
    system's, which carries merge requests and projects that come and go, but no issues and no notes.
    """

    url: str
    kind: Literal["project", "group", "system"] = "project"
    group: str = "acme"
    events: tuple[HookEvent, ...] = EVERY_EVENT
    token: str | None = Field(default=None, description="sent as X-Gitlab-Token")
    signing_token: str | None = Field(default=None, description="`whsec_` and a key in base64")

    timeout_seconds: float = Field(default=10, gt=0)
    time_style: Literal["utc", "iso", "offset"] = Field(
        default="utc", description="instants in bodies: `… UTC`, ISO with milliseconds, `… -0700`"
    )
    custom_body: str | None = Field(default=None, description="sent in place of every body, as by a template")
    lose: float = Field(default=0, ge=0, le=1, description="this share of the deliveries is never sent")
    double: float = Field(default=0, ge=0, le=1, description="this share is sent twice, with the same key")
    delay_ms: int = Field(default=0, ge=0, description="every delivery waits so long")
    spread_ms: int = Field(default=0, ge=0, description="and a random time up to this, so that they change places")
    timestamp_offset_seconds: int = Field(default=0, description="added to webhook-timestamp: a wrong clock")
    backoff_seconds: float = Field(default=60, gt=0, description="how long four failures switch it off at first")
    seed: int = Field(default=0, description="of what is lost, sent twice and spread")

    @field_validator("signing_token")
    @classmethod
    def _is_a_key(cls, token: str | None) -> str | None:
        if token is not None:
            signing_key(token)
        return token


class HookView(ControlModel):
    """A registered hook and how it fares."""

    hook_id: int
    url: str
    kind: Literal["project", "group", "system"]
    alert_status: Literal["executable", "temporarily_disabled", "disabled"]
    failures_in_row: int
    disabled_until: str | None
    pending: int = Field(description="deliveries that wait or are on their way")
    sent: int


class DeliveryView(ControlModel):
    """What became of one delivery, as in a hook's list of recent events in GitLab.

    `iid` and `project_id` are null where the body names none. `outcome`: answered with 2xx, answered with anything
    else or not at all, not sent because the hook was switched off, or lost by intent.
    """

    hook_id: int
    event: str
    object_kind: str
    project_id: int | None
    iid: int | None
    key: str
    outcome: Literal["delivered", "failed", "switched_off", "lost"]
    status: int | None
    duration_ms: float
    sent_at: str


def signing_key(token: str) -> bytes:
    """The key in a signing token; ValueError if there is none."""
    try:
        key = base64.b64decode(token.removeprefix(SIGNING_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a signing token is {SIGNING_PREFIX} and base64") from error
    if not token.startswith(SIGNING_PREFIX) or not key:
        raise ValueError(f"a signing token is {SIGNING_PREFIX} and base64")
    return key
