"""`HookControl`: the part of `SandboxControl` that is about hooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from surgical_pipeline.sandbox.hooks.models import DeliveryView, HookSpec, HookView

if TYPE_CHECKING:
    from surgical_pipeline.sandbox.control_connection import ControlConnection

_POLL_SECONDS = 0.02


class HookControl:
    """Hooks that a sandbox sends for its own edits, from the moment of their registration on.

    Issues, merge requests, labels, states, notes added or edited, emoji and approvals are told; deleted notes and
    deleted entities, a merge request that was prepared, and edits of a confidential kind that is not ticked are
    not, as in GitLab.
    """

    def __init__(self, connection: ControlConnection) -> None:
        self._connection = connection

    def add(self, url: str, *, project: str | int | None = None, **more: Any) -> HookView:
        """Register a hook; `more` are fields of `HookSpec`. `project` names the project of a project's hook."""
        spec = HookSpec(url=url, **more)
        return HookView.model_validate(self._connection.send("POST", "/hooks", body=spec, project=project))

    def all(self) -> list[HookView]:
        """Every hook, with whether it is switched off and how many of its deliveries are under way."""
        return [HookView.model_validate(hook) for hook in self._connection.send("GET", "/hooks")]

    def clear(self) -> None:
        """Remove every hook; what is under way is not delivered any more."""
        self._connection.send("DELETE", "/hooks")

    def deliveries(self) -> list[DeliveryView]:
        """What became of the deliveries, in the order in which they ended; the last 20,000."""
        found = self._connection.send("GET", "/hooks/deliveries")
        return [DeliveryView.model_validate(delivery) for delivery in found]

    def enable(self, hook_id: int) -> None:
        """Switch a hook on again, as a successful test does in GitLab."""
        self._connection.send("POST", f"/hooks/{hook_id}/enable")

    def test(self, hook_id: int, event: Literal["issues", "merge_requests", "note"] = "issues") -> None:
        """Press *Test*: a delivery about a real entity, without an action."""
        self._connection.send("POST", f"/hooks/{hook_id}/test", params={"event": event})

    def wait_until_sent(self, *, seconds: float = 30) -> None:
        """Return once no delivery is under way; TimeoutError if that takes longer."""
        deadline = time.monotonic() + seconds
        while pending := sum(hook.pending for hook in self.all()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{pending} deliveries are still under way after {seconds} s")
            time.sleep(_POLL_SECONDS)
