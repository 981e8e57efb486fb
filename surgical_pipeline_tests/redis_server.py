"""A Redis server of the tests' own, from the system's packages. What it has is on disk, as for a broker."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.surroundings import skip_or_fail

PASSWORD = "a-secret-of-the-broker"
_KEPT = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


class RedisServer:
    """One that listens at ``host``; `restart` keeps what is in it."""

    def __init__(self, folder: Path, *, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@{self.host}:{self.port}/0"

    def start(self) -> None:
        address = ("--bind", self.host, "--port", str(self.port), "--requirepass", PASSWORD)
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", *address, *_KEPT, "--dir", str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, limit_seconds=30, what="Redis answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        with suppress(redis.exceptions.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False


@contextmanager
def redis_server(folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[RedisServer]:
    """A running one, stopped at the end. ``port``: 0: a free one."""
    if shutil.which("redis-server") is None:
        skip_or_fail("no Redis is installed: apt-get install redis-server")
        return
    server = RedisServer(folder, host=host, port=port or _free_port(host))
    try:
        yield server
    finally:
        server.stop()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
