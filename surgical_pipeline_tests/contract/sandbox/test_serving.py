"""The server as a process and as a thread."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox, create_app, serve

PROGRAM = "import sys; from surgical_pipeline.sandbox.server import serve; serve(port=int(sys.argv[1]))"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    with SandboxControl(url) as control:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                control.requests()
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
    pytest.fail("the server does not answer")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_cleanly_and_silently_on_a_signal(number: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}", process)
            with SandboxControl(f"http://127.0.0.1:{port}") as control:
                control.update_issue(12, title="changed from another process")
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, b"", b"")


def test_serving_on_a_taken_port_is_an_error() -> None:
    with RunningSandbox() as sandbox, pytest.raises(OSError, match="in use"):
        serve(port=sandbox.port)


def test_a_sandbox_starts_in_half_a_second_and_leaves_no_thread() -> None:
    build_sample()
    threads = threading.active_count()
    start = time.perf_counter()
    with RunningSandbox() as sandbox:
        started = time.perf_counter() - start
        assert httpx.get(f"{sandbox.url}/api/v4/version").status_code == 401
    assert started < 0.5
    assert threading.active_count() == threads


def test_a_prefix_needs_its_slash() -> None:
    with pytest.raises(ValueError, match="start with a slash"):
        create_app(prefix="gitlab")


def test_one_request_for_a_hundred_rows_costs_less_than_two_milliseconds(sandbox: RunningSandbox) -> None:
    """Measured by the server itself, the best of many, for rows without the one-megabyte description."""
    with httpx.Client(headers={"PRIVATE-TOKEN": sandbox.token}) as client:
        for _ in range(30):
            client.get(f"{sandbox.url}/api/v4/projects/4201/merge_requests?per_page=100").raise_for_status()
    assert min(entry.duration_ms or 99 for entry in sandbox.control.requests().requests) < 2
