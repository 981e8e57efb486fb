"""The way from a process to GitLab."""

import httpx

from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline_tests.simulation.gitlab import SimulatedGitLab, asgi
from surgical_pipeline_tests.simulation.processes import Process

URL = "http://gitlab.simulated"
_NO_CONNECTION = 599
"""The status by which the simulated GitLab says that nothing is to be heard of it."""


class Wire(httpx.AsyncBaseTransport):
    """Carries one process's requests, with moments to be killed before, and between question and answer."""

    def __init__(self, gitlab: SimulatedGitLab, process: Process) -> None:
        self._app = asgi(gitlab)
        self._process = process

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        await self._process.pause(f"GET {target}")
        answer = await self._app.handle_async_request(request)
        await self._process.pause(f"{answer.status_code} {target}")
        if answer.status_code == _NO_CONNECTION:
            raise httpx.ConnectError("simulated: no connection")
        return answer


def client_of(
    gitlab: SimulatedGitLab, process: Process, *, limiter: RateLimiter, clock: GitLabClock
) -> GitLabClient:
    """A client as the process would open it, not yet connected."""
    return GitLabClient(
        URL,
        gitlab.token,
        limiter=limiter,
        retry=RetryPolicy(uniform=process.random.random),
        clock=clock,
        monotonic=process.machine.time,
        network=Wire(gitlab, process),
    )
