"""The bodies of the control routes below `/sandbox`, for the server and for `SandboxControl` alike."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ControlModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultSpec(ControlModel):
    """What goes wrong, and for which requests. Only the oldest fault that matches and is not used up fires.

    `path` is a shell pattern over the path as it was sent, its `%2F` kept, without the server's prefix
    (`*` also matches slashes): `*/issues/12/discussions`. `query` must occur in the decoded query string.
    """

    path: str
    method: str = "*"
    query: str | None = None
    iid: int | None = Field(
        default=None, ge=1, description="only for requests of this record: alone, or in a list among `iids[]`"
    )
    times: int | None = Field(default=None, ge=1, description="how often it fires; null: always")
    skip: int = Field(default=0, ge=0, description="so many matching requests pass unharmed first")

    status: int | None = Field(default=None, ge=200, le=599, description="answer with this instead")
    body: str | None = Field(default=None, description="of that answer; null: what GitLab sends with the status")
    headers: dict[str, str] = Field(default_factory=dict, description="set on the answer, real or not")
    delay_ms: int = Field(default=0, ge=0)
    drop: Literal["before_headers", "mid_body"] | None = Field(default=None, description="close the connection")
    mangle: Literal["broken_json", "truncated", "html"] | None = Field(
        default=None,
        description="cut JSON with a right length; a body shorter than its content-length; a login page with 200",
    )
    override: dict[str, Any] = Field(default_factory=dict, description="set in the payload, or in each of a list")
    append: dict[str, Any] | None = Field(
        default=None, description="one more row for a list: a copy of its first with these fields set"
    )
    leave_out_iids: list[int] = Field(default_factory=list, description="rows that a list loses")


class Fault(FaultSpec):
    """A fault that was added."""

    fault_id: int
    matched: int = 0
    fired: int = 0


class LatencySpec(ControlModel):
    """A wait before every API answer."""

    latency_ms: int = Field(ge=0)


class Behaviour(ControlModel):
    """How this GitLab differs from a current one without load. A reset sets all of it back."""

    keyset: bool | Literal["ignored"] = Field(
        default=True,
        description="false: lists answer 400 to `pagination=keyset`; ignored: by offset, as issues before 18.3",
    )
    replica_lag_seconds: float = Field(
        default=0,
        ge=0,
        description="answers show entities as they were so long ago, if that is after this was set",
    )
    replica_every: int = Field(
        default=1, ge=1, description="of so many answers one comes from the lagging replica"
    )
    largest_page: int = Field(default=100, ge=1, description="rows of a page, whatever `per_page` asks for")
    largest_offset: int = Field(
        default=50_000, ge=1, description="lists answer 405 where page number times page size is more than this"
    )


class EntityChange(ControlModel):
    """New values for fields of an issue or merge request, named as in GitLab's payload.

    `bump_updated_at` null: as GitLab does, at once, but for labels alone at most once in 60 seconds.
    """

    fields: dict[str, Any] = Field(default_factory=dict)
    bump_updated_at: bool | None = None


class ProjectSpec(ControlModel):
    """A project to create, by its full path."""

    path: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)+$")


class NoteSpec(ControlModel):
    """A note to add. `bump_updated_at` null: as GitLab does, at most once in 60 seconds."""

    body: str
    username: str = "mira.okafor"
    discussion_id: str | None = None
    internal: bool = False
    bump_updated_at: bool | None = None


class NoteChange(ControlModel):
    body: str
    bump_updated_at: bool | None = None


class AwardSpec(ControlModel):
    """An emoji on the issue or merge request itself."""

    name: str = "thumbsup"
    username: str = "mira.okafor"


class ApproverSpec(ControlModel):
    """Who approves a merge request from now on; anybody else does not."""

    usernames: list[str]


class ProjectName(ControlModel):
    """A project's other name, the last part of its path."""

    name: str = Field(pattern=r"^[\w.-]+$")


class AddedNote(ControlModel):
    discussion_id: str
    note: dict[str, Any]


class LoggedRequest(ControlModel):
    """A request to the API. `status` is null while it runs and when its connection was dropped."""

    number: int
    method: str
    path: str
    query: str
    token_in_header: bool
    status: int | None = None
    fault_id: int | None = None
    duration_ms: float | None = None


class RequestLogView(ControlModel):
    count: int
    max_in_flight: int
    requests: list[LoggedRequest]
