"""The program on a terminal of its own, as a person sees it."""

import errno
import os
import pty
import re
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OWN_SEQUENCES = re.compile(
    r"\x1b\[[0-9;]*m"  # colours
    r"|\x1b\]8;(?:id=[0-9-]+;https?://[!-~]*|;)\x1b\\"  # links
    r"|\x1b\[(?:\?25[lh]|2K|1A)"  # the bars of progress
    r"|\r"
)


@dataclass(frozen=True)
class Shown:
    """``raw``: all that the terminal was sent; ``text``: without the sequences that this program uses."""

    exit_code: int
    raw: str

    @property
    def text(self) -> str:
        return OWN_SEQUENCES.sub("", self.raw)


def on_terminal(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    meanwhile: Callable[[int], None] = lambda _pid: None,
) -> Shown:
    """Run to the end; stdin, stdout and stderr are one terminal. ``meanwhile``: in a thread, with its PID."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "300"},
        cwd=folder,
        start_new_session=True,
    )
    os.close(theirs)
    threading.Thread(target=meanwhile, args=[process.pid], daemon=True).start()
    read = bytearray()
    try:
        while part := _read(ours):
            read += part
        return Shown(process.wait(timeout=120), read.decode())
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError as error:
        if error.errno == errno.EIO:  # nobody has the other end any more
            return b""
        raise
