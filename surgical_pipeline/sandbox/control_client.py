"""`SandboxControl`: a client for the control routes of a sandbox, in this process or another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from surgical_pipeline.sandbox.control_connection import ControlConnection, SandboxControlError
from surgical_pipeline.sandbox.control_models import (
    AddedNote,
    ApproverSpec,
    AwardSpec,
    Behaviour,
    EntityChange,
    Fault,
    FaultSpec,
    LatencySpec,
    NoteChange,
    NoteSpec,
    ProjectName,
    ProjectSpec,
    RequestLogView,
)
from surgical_pipeline.sandbox.hooks.client import HookControl

if TYPE_CHECKING:
    from types import TracebackType

    from pydantic import BaseModel

__all__ = ["SandboxControl", "SandboxControlError"]


class SandboxControl:
    """Changes a running sandbox. Every method returns once the change is effective.

    `url` is the sandbox's base URL. Methods about an entity mean the sample's first project, `acme/rocket`,
    unless `project` (an id or a path) says otherwise. A refusal raises SandboxControlError, a missing
    server httpx.TransportError. Connections are opened on first use; close it, or use it as a context manager.
    `hooks` registers and watches hooks.
    """

    def __init__(self, url: str) -> None:
        self._connection = ControlConnection(url)
        self._send = self._connection.send
        self.hooks = HookControl(self._connection)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ faults

    def add_fault(  # noqa: PLR0913 - one keyword for each thing that can go wrong
        self,
        path: str,
        *,
        method: str = "*",
        query: str | None = None,
        iid: int | None = None,
        times: int | None = None,
        skip: int = 0,
        status: int | None = None,
        body: str | None = None,
        headers: dict[str, str] | None = None,
        delay_ms: int = 0,
        drop: Literal["before_headers", "mid_body"] | None = None,
        mangle: Literal["broken_json", "truncated", "html"] | None = None,
        override: dict[str, Any] | None = None,
        append: dict[str, Any] | None = None,
        leave_out_iids: list[int] | None = None,
    ) -> Fault:
        """Let requests go wrong; the arguments are the fields of `FaultSpec`."""
        spec = FaultSpec(
            path=path,
            method=method,
            query=query,
            iid=iid,
            times=times,
            skip=skip,
            status=status,
            body=body,
            headers=headers or {},
            delay_ms=delay_ms,
            drop=drop,
            mangle=mangle,
            override=override or {},
            append=append,
            leave_out_iids=leave_out_iids or [],
        )
        return Fault.model_validate(self._send("POST", "/faults", body=spec))

    def faults(self) -> list[Fault]:
        """The faults with how often each one fired."""
        return [Fault.model_validate(fault) for fault in self._send("GET", "/faults")]

    def clear_faults(self) -> None:
        self._send("DELETE", "/faults")

    def set_latency(self, milliseconds: int) -> None:
        """Delay every answer of the API until so long after its request came; 0 ends it."""
        self._send("POST", "/latency", body=LatencySpec(latency_ms=milliseconds))

    # ------------------------------------------------------------------ the log

    def requests(self) -> RequestLogView:
        """Requests to the API since the start or the last `clear_requests`, oldest first."""
        return RequestLogView.model_validate(self._send("GET", "/requests"))

    def clear_requests(self) -> None:
        self._send("DELETE", "/requests")

    def reset(self) -> None:
        """Back to the sample: no faults, latency or hooks, an empty log, a current GitLab, no change."""
        self._send("POST", "/reset")

    def set_behaviour(
        self,
        *,
        keyset: bool | Literal["ignored"] = True,
        replica_lag_seconds: float = 0,
        replica_every: int = 1,
        largest_page: int = 100,
        largest_offset: int = 50_000,
    ) -> None:
        """Be an older or smaller GitLab, or one whose answers lag behind, by the fields of `Behaviour`."""
        behaviour = Behaviour(
            keyset=keyset,
            replica_lag_seconds=replica_lag_seconds,
            replica_every=replica_every,
            largest_page=largest_page,
            largest_offset=largest_offset,
        )
        self._send("POST", "/behaviour", body=behaviour)

    # ------------------------------------------------------------------ projects

    def create_project(self, path: str) -> dict[str, Any]:
        """A new, empty project by its full path, with the groups that it needs; returns its payload."""
        payload: dict[str, Any] = self._send("POST", "/projects", body=ProjectSpec(path=path))
        return payload

    def rename_project(self, name: str, *, project: str | int | None = None) -> dict[str, Any]:
        """Give it another name in its group; the former path redirects. Returns its payload."""
        payload: dict[str, Any] = self._send(
            "POST", "/project/rename", body=ProjectName(name=name), project=project
        )
        return payload

    def recreate_project(self, *, project: str | int | None = None) -> dict[str, Any]:
        """Delete it and create one with the same path: another id, nothing in it; returns its payload."""
        payload: dict[str, Any] = self._send("POST", "/project/recreate", project=project)
        return payload

    # ------------------------------------------------------------------ entities

    def create_issue(self, *, project: str | int | None = None, **fields: Any) -> dict[str, Any]:
        """A new issue with the next IID; returns its payload. `fields` are named as in GitLab's payload."""
        return self._payload("POST", "/issues", body=EntityChange(fields=fields), project=project)

    def create_merge_request(self, *, project: str | int | None = None, **fields: Any) -> dict[str, Any]:
        """A new merge request that is not prepared: `prepared_at` and `diff_refs` are null until `prepare`."""
        return self._payload("POST", "/merge_requests", body=EntityChange(fields=fields), project=project)

    def prepare(self, iid: int, *, project: str | int | None = None) -> dict[str, Any]:
        """Let a new merge request be prepared; its `updated_at` stays as it is, as in GitLab."""
        payload: dict[str, Any] = self._send("POST", f"/merge_requests/{iid}/prepare", project=project)
        return payload

    def update_issue(
        self, iid: int, *, bump_updated_at: bool | None = None, project: str | int | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Set fields of an issue (`title=…`, `state="closed"`, `confidential=True`, `updated_at="…Z"`).

        `bump_updated_at` None does what GitLab does: at once, but for labels alone only when `updated_at` is 60
        seconds old. True moves it in any case, False never.
        """
        change = EntityChange(fields=fields, bump_updated_at=bump_updated_at)
        return self._payload("POST", f"/issues/{iid}", body=change, project=project)

    def update_merge_request(
        self, iid: int, *, bump_updated_at: bool | None = None, project: str | int | None = None, **fields: Any
    ) -> dict[str, Any]:
        change = EntityChange(fields=fields, bump_updated_at=bump_updated_at)
        return self._payload("POST", f"/merge_requests/{iid}", body=change, project=project)

    def delete_issue(self, iid: int, *, project: str | int | None = None) -> None:
        """Make it disappear: 404, and gone from lists, links and relations."""
        self._send("DELETE", f"/issues/{iid}", project=project)

    def delete_merge_request(self, iid: int, *, project: str | int | None = None) -> None:
        self._send("DELETE", f"/merge_requests/{iid}", project=project)

    def restore_issue(self, iid: int, *, project: str | int | None = None) -> None:
        self._send("POST", f"/issues/{iid}/restore", project=project)

    def restore_merge_request(self, iid: int, *, project: str | int | None = None) -> None:
        self._send("POST", f"/merge_requests/{iid}/restore", project=project)

    # ------------------------------------------------------------------ notes

    def add_note(
        self,
        iid: int,
        body: str,
        *,
        kind: Literal["issue", "merge_request"] = "issue",
        username: str = "mira.okafor",
        discussion_id: str | None = None,
        internal: bool = False,
        bump_updated_at: bool | None = None,
        project: str | int | None = None,
    ) -> AddedNote:
        """A note, in a new thread unless `discussion_id` names one.

        `bump_updated_at` None does what GitLab does: only when the entity's `updated_at` is 60 seconds old.
        """
        spec = NoteSpec(
            body=body,
            username=username,
            discussion_id=discussion_id,
            internal=internal,
            bump_updated_at=bump_updated_at,
        )
        return AddedNote.model_validate(self._send("POST", f"/{kind}s/{iid}/notes", body=spec, project=project))

    def edit_note(self, note_id: int, body: str, *, bump_updated_at: bool | None = None) -> dict[str, Any]:
        change = NoteChange(body=body, bump_updated_at=bump_updated_at)
        return self._payload("PATCH", f"/notes/{note_id}", body=change)

    def delete_note(self, note_id: int) -> None:
        """The entity's `updated_at` stays as it is, as in GitLab."""
        self._send("DELETE", f"/notes/{note_id}")

    # ------------------------------------------------------------------ emoji and approvals

    def add_award(
        self,
        iid: int,
        name: str = "thumbsup",
        *,
        kind: Literal["issue", "merge_request"] = "issue",
        username: str = "mira.okafor",
        project: str | int | None = None,
    ) -> dict[str, Any]:
        """An emoji on an entity; `updated_at` stays as it is, as in GitLab."""
        spec = AwardSpec(name=name, username=username)
        return self._payload("POST", f"/{kind}s/{iid}/award_emoji", body=spec, project=project)

    def delete_award(
        self,
        iid: int,
        award_id: int,
        *,
        kind: Literal["issue", "merge_request"] = "issue",
        project: str | int | None = None,
    ) -> None:
        self._send("DELETE", f"/{kind}s/{iid}/award_emoji/{award_id}", project=project)

    def set_approvers(self, iid: int, *usernames: str) -> None:
        """Let exactly these people approve a merge request; nobody if none is named."""
        self._send("PUT", f"/merge_requests/{iid}/approvals", body=ApproverSpec(usernames=list(usernames)))

    def _payload(
        self, method: str, path: str, *, body: BaseModel, project: str | int | None = None
    ) -> dict[str, Any]:
        payload: dict[str, Any] = self._send(method, path, body=body, project=project)
        return payload
