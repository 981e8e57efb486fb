"""How the clients of the control routes speak to a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel


class SandboxControlError(RuntimeError):
    """The sandbox refused; the message says why."""


class ControlConnection:
    """Requests below `/sandbox` of the sandbox at `url`; opened on first use."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url.rstrip('/')}/sandbox", timeout=10, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        project: str | int | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON; None if it is empty. Raises SandboxControlError and httpx.TransportError."""
        content = None if body is None else body.model_dump_json(exclude_unset=True).encode()
        named = {} if project is None else {"project": str(project)}
        answer = self._client.request(method, path, content=content, params={**named, **(params or {})})
        if not answer.is_success:
            raise SandboxControlError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None
