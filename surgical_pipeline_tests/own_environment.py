"""A virtual environment of its own for a program that must never share ours: made once on a machine, then kept."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from surgical_pipeline_tests.surroundings import REPOSITORY

FOLDER = REPOSITORY / ".venvs"


def own_environment(name: str, requirements: Path) -> Path:
    """The folder of its programs. Made anew when what it requires has changed, or if it was left half made.

    Raises:
        RuntimeError: the packages cannot be had; it tells what pip says.
    """
    FOLDER.mkdir(exist_ok=True)
    home, wanted = FOLDER / name, hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    complete = home / "complete"
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.is_file() or complete.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(home, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(home))
            _run(str(home / "bin/python"), "-m", "pip", "install", "--quiet", "-r", str(requirements))
            complete.write_text(wanted, encoding="utf-8")
    return home / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
