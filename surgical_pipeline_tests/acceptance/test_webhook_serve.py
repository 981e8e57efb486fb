"""`webhook serve` as a process: what it refuses to start with, what a full disk does to it, and how it ends."""

import json
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from surgical_pipeline_tests.integration.ledger.processes import beside
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.receiver_process import OURS, PROGRAM, SECRET, ReceiverProcess

pytestmark = pytest.mark.processes

HOOK = {
    "object_kind": "issue",
    "project": {"id": 5},
    "object_attributes": {"iid": 7, "title": "Confidential-title"},
}


def refused(home: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and the line of a receiver that does not start."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [PROGRAM, "webhook", "serve", "--port", "0", *arguments],
        env=inherited | {"DAGSTER_HOME": str(home)} | environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {}, "neither SURGICAL_WEBHOOK_SIGNING_TOKEN nor SURGICAL_WEBHOOK_SECRET is set"),
        (["--insecure", "--host", "0.0.0.0"], {}, "--insecure takes events from anybody"),  # noqa: S104  it is refused
        ([], {"SURGICAL_WEBHOOK_SIGNING_TOKEN": "whsec_v3ry"}, "is no signing token"),
        ([], {"SURGICAL_WEBHOOK_SECRET": "'v3ry-secret'"}, "is in quotes"),
        (["--insecure"], {"SURGICAL_WEBHOOK_SECRET": ","}, "no value"),
        (["--insecure"], {"SURGICAL_SPOOL": "/no/such/folder/spool"}, "set SURGICAL_SPOOL"),
    ],
)
def test_without_a_secret_or_a_place_it_does_not_start(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    code, line = refused(tmp_path, *arguments, **environment)
    assert code == 2
    assert said in line
    assert "v3ry" not in line


def test_a_port_that_is_taken_and_a_spool_that_is_taken_end_it_with_a_line(tmp_path: Path) -> None:
    with ReceiverProcess(tmp_path) as receiver:
        code, line = refused(tmp_path, SURGICAL_WEBHOOK_SECRET=SECRET)
        assert (code, "another receiver has the spool" in line) == (1, True)
        port = receiver.base.rpartition(":")[2]
        other = {"SURGICAL_WEBHOOK_SECRET": SECRET, "SURGICAL_SPOOL": str(tmp_path / "another")}
        code, line = refused(tmp_path, "--port", port, **other)
        assert (code, f"cannot listen on 127.0.0.1:{port}" in line) == (1, True)
        assert receiver.post(HOOK).status_code == 200


def test_from_a_hook_to_the_inbox(tmp_path: Path) -> None:
    with ReceiverProcess(tmp_path) as receiver:
        assert receiver.post(HOOK, key="delivery-1").status_code == 200
        receiver.await_drained()
        receiver.stop()
    rows = query(tmp_path / "ledger.duckdb", "SELECT event_key, seq, entity_type, iid, state FROM gitlab_events")
    assert rows == [("delivery-1", 1, "issue", 7, "pending")]


def test_its_log_is_json_lines_without_payloads_and_secrets(tmp_path: Path) -> None:
    with ReceiverProcess(tmp_path) as receiver:
        receiver.post(HOOK)
        receiver.post({"object_kind": "Confidential-kind"})
        httpx.post(receiver.url, content=b"{Confidential", headers={"X-Gitlab-Token": SECRET})
        httpx.post(receiver.url, json=HOOK, headers={"X-Gitlab-Token": "Confidential-token"})
        receiver.stop()
        lines = [json.loads(line) for line in receiver.log.splitlines()]
    assert all({"time", "level", "message"} == set(line) for line in lines)
    assert [line["level"] for line in lines if "refused" in line["message"]] == ["warning", "warning"]
    assert "Confidential" not in receiver.log
    assert SECRET not in receiver.log
    for path in (tmp_path / "ledger.duckdb.spool", tmp_path / "ledger.duckdb.spool-wal"):
        assert not path.exists() or b"Confidential" not in path.read_bytes()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_time_whatever_clients_do(tmp_path: Path, by: signal.Signals) -> None:
    with ReceiverProcess(tmp_path) as receiver:
        host, port = receiver.base.removeprefix("http://").split(":")
        clients = [socket.create_connection((host, int(port)), timeout=20) for _ in range(3)]
        for client, sent in zip(clients, (b"", b"POST / HTTP/1.1\r\n", _beginning()), strict=True):
            client.sendall(sent)
        time.sleep(0.5)
        assert receiver.stop(by=by) < 8
        assert receiver.process.returncode == 0
        assert "traceback" not in receiver.log.lower()
        for client in clients:
            client.close()


def _beginning() -> bytes:
    """Of a request whose body does not come."""
    headers = f"Host: x\r\nX-Gitlab-Token: {SECRET}\r\nContent-Length: 99"
    return f"POST /webhooks/gitlab HTTP/1.1\r\n{headers}\r\n\r\n{{".encode()


def test_it_ends_in_time_while_a_shell_has_the_ledger(tmp_path: Path) -> None:

    with ReceiverProcess(tmp_path) as receiver:
        receiver.post(HOOK)
        receiver.await_drained()
        with beside("hold_shell", tmp_path / "ledger.duckdb"):
            assert receiver.post(HOOK).status_code == 200
            time.sleep(1)
            assert receiver.stop() < 8
        assert "Traceback" not in receiver.log


def test_on_a_full_disk_it_says_503_in_time_and_accepts_again_by_itself(tmp_path: Path) -> None:
    with ReceiverProcess(tmp_path) as receiver:
        receiver.post(HOOK, key="first")
        receiver.await_drained()
        soft = resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE)[0]
        resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
        began = time.monotonic()
        assert receiver.post(HOOK, key="lost").status_code == 503
        assert time.monotonic() - began < 8
        assert httpx.get(f"{receiver.base}/readyz", timeout=10).status_code == 503
        assert httpx.get(f"{receiver.base}/healthz").status_code == 200
        resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
        assert receiver.post(HOOK, key="kept").status_code == 200
        assert httpx.get(f"{receiver.base}/readyz", timeout=10).status_code == 200
        receiver.await_drained()
        receiver.stop()
    keys = query(tmp_path / "ledger.duckdb", "SELECT event_key FROM gitlab_events WHERE event_key <> 'first'")
    assert keys == [("kept",)]


def test_readiness_depends_on_the_spool_alone(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    places = {"SURGICAL_LEDGER": str(folder / "ledger.duckdb"), "SURGICAL_SPOOL": str(tmp_path / "spool")}
    with ReceiverProcess(tmp_path, **places) as receiver:
        assert receiver.post(HOOK).status_code == 200
        end = time.monotonic() + 10
        while (told := httpx.get(f"{receiver.base}/readyz").json())["ledger"]["trouble"] is None:
            assert time.monotonic() < end
        assert (told["ready"], told["waiting"], told["ledger"]["trouble"]) == (True, 1, "LEDGER_ERROR")
        folder.mkdir()
        receiver.await_drained()


def test_without_secrets_it_takes_everything_on_a_loopback_address(tmp_path: Path) -> None:
    with ReceiverProcess(tmp_path, "--insecure", SURGICAL_WEBHOOK_SECRET="") as receiver:
        assert httpx.post(receiver.url, json=HOOK).status_code == 200
