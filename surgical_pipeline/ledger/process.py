"""Is the process that works on a run still alive? Decided by host, pid and what a reused pid cannot imitate.

``/proc`` has the start of a process in clock ticks since boot: unlike a time of day, that is the same for every
observer and does not change when the clock is set. Together with the boot and the pid namespace it identifies
one process permanently.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from surgical_pipeline.domain.reconciliation import Liveness

_PROC = Path("/proc")
_DEAD_STATES = frozenset("ZXx")
"""A killed process whose parent has not read its exit code yet no longer works."""
_STATE, _START_TICKS = 0, 19
"""Positions in ``/proc/<pid>/stat`` after the command's name: proc(5), fields 3 and 22."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, identified permanently. ``mark``: boot, pid namespace and start; None if not available."""

    host: str
    pid: int
    mark: str | None

    @classmethod
    def of_this_process(cls) -> Self:
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Self:
        """A process of this machine that is there now."""
        stat = _read_stat(pid)
        mark = None if stat is None else _mark(stat[_START_TICKS])
        return cls(socket.gethostname(), pid, mark)

    @property
    def liveness(self) -> Liveness:
        """As seen from here, now."""
        if self.mark is None or self.host != socket.gethostname():
            return Liveness.UNKNOWN
        try:
            here = _mark("")
        except OSError:
            return Liveness.UNKNOWN
        if not self.mark.startswith(here):
            return Liveness.UNKNOWN  # another container of this name, or this machine before a restart
        stat = _read_stat(self.pid)
        if stat is None:
            return Liveness.UNKNOWN if _hidden(self.pid) else Liveness.GONE
        if stat[_STATE] in _DEAD_STATES or _mark(stat[_START_TICKS]) != self.mark:
            return Liveness.GONE
        return Liveness.ALIVE


def _mark(start_ticks: str) -> str:
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}/{start_ticks}"


def _read_stat(pid: int) -> list[str] | None:
    """Fields from the state on, because the command's name before it may hold spaces. None: no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _hidden(pid: int) -> bool:
    """``/proc`` can be mounted so that it hides other users' processes."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
