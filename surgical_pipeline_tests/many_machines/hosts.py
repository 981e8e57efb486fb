"""Machines in namespaces: each has its own network, host name and processes; all share this kernel and its disk.

Everything is below one process, which `alone` starts in namespaces of its own. When that ends, the kernel ends all
the others and takes the networks away with them.
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from surgical_pipeline_tests.dagster_dev import wait_until

NEW = ("unshare", "--net", "--uts", "--ipc", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
SERVICES, DATABASE = "10.77.0", "10.78.0"
"""Two networks: a machine can be cut off from the database alone. The control machine is number 1 in both."""
_BRIDGES = {SERVICES: "services", DATABASE: "database"}
_OWN_SHARED_MEMORY = "mount -t tmpfs tmpfs /dev/shm"
"""What faketime keeps there has names made of pids."""
_WRONG_CLOCK = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": str(Path(__file__).with_name("wrong_clock"))}


def refusal() -> str | None:
    """Why this machine makes no namespaces; None: it does."""
    tried = (
        "unshare",
        "--net",
        "--uts",
        "--ipc",
        "--pid",
        "--mount",
        "--fork",
        "ip",
        "link",
        "add",
        "x",
        "type",
        "veth",
    )
    try:
        done = _done(*tried)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else None


def alone(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours on the control machine."""
    return [*NEW, sys.executable, "-m", module, *arguments]


def become_control() -> None:
    """Make this process, which `alone` started, the control machine."""
    _run("hostname", "control")
    _run(*_OWN_SHARED_MEMORY.split())
    _run("ip", "link", "set", "lo", "up")
    for network, bridge in _BRIDGES.items():
        _run("ip", "link", "add", bridge, "type", "bridge")
        _run("ip", "address", "add", f"{network}.1/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")


@dataclass
class Host:
    """A machine beside the control machine. ``clock``: how far it is off, as faketime takes it; empty: right."""

    name: str
    number: int
    folder: Path
    environment: Mapping[str, str]
    clock: str = ""
    _first: "psutil.Process | None" = field(default=None, init=False)
    _outside: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def boot(self) -> None:
        """Switch it on: it has a network and no process of ours."""
        self.folder.mkdir(parents=True, exist_ok=True)
        setup = f"hostname {self.name} && {_OWN_SHARED_MEMORY} && exec sleep infinity"
        with (self.folder / "log").open("ab") as log:
            self._outside = subprocess.Popen([*NEW, "sh", "-c", setup], stdin=subprocess.DEVNULL, stderr=log)
        outside = psutil.Process(self._outside.pid)
        children = wait_until(outside.children, limit_seconds=10, what=f"{self.name} has a first process")
        self._first = children[0]
        wait_until(
            lambda: self._first and self._first.name() == "sleep", limit_seconds=10, what=f"{self.name} is up"
        )
        self._inside("ip", "link", "set", "lo", "up")
        for network, bridge in _BRIDGES.items():
            here, there = self._ends(bridge)
            _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", str(self._first.pid))
            _run("ip", "link", "set", here, "master", bridge, "up")
            self._inside("ip", "address", "add", f"{network}.{self.number}/24", "dev", there)
            self._inside("ip", "link", "set", there, "up")

    def start(self, *command: str) -> None:
        """Start a program on it; what it prints is in its folder."""
        shifted = ("faketime", "-m", "-f", self.clock) if self.clock else ()
        with (self.folder / "log").open("ab") as log:
            subprocess.Popen(
                self._entered(*shifted, *command),
                env={**self.environment, **(_WRONG_CLOCK if self.clock else {})},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def plug(self, network: str, *, connected: bool) -> None:
        """Put a cable in or out: nothing tells the machine, what it sends goes nowhere."""
        here, _ = self._ends(_BRIDGES[network])
        _run("ip", "link", "set", here, *(("master", _BRIDGES[network]) if connected else ("nomaster",)))

    def lose_power(self) -> None:
        """SIGKILL to all of its processes, of which nobody is told: the network goes first."""
        if self._first is None or self._outside is None:
            return
        for network in _BRIDGES:
            self.plug(network, connected=False)
        self._first.kill()
        self._outside.wait(timeout=30)
        for bridge in _BRIDGES.values():
            _done("ip", "link", "delete", self._ends(bridge)[0])
        self._first = self._outside = None

    def _ends(self, bridge: str) -> tuple[str, str]:
        return f"{bridge[:2]}{self.number}", bridge

    def _entered(self, *command: str) -> list[str]:
        assert self._first is not None
        return [
            "nsenter",
            "--target",
            str(self._first.pid),
            "--net",
            "--uts",
            "--ipc",
            "--pid",
            "--mount",
            *command,
        ]

    def _inside(self, *command: str) -> None:
        _run(*self._entered(*command))


def _run(*command: str) -> None:
    done = _done(*command)
    if done.returncode:
        raise RuntimeError(f"{command} failed with {done.returncode}: {done.stderr}")


def _done(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
