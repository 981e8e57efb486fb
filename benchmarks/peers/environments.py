"""The peers' own virtual environments, in `.peers/`: never dependencies of the project, and made once.

sentence-transformers brings torch, which is gigabytes and not to be had on every machine, so it lives alone.
"""

import hashlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / ".peers"
REQUIREMENTS = Path(__file__).with_name("requirements")
PROGRAMS = Path(__file__).with_name("programs")
BIN = Path(sys.executable).parent
"""Where our own programs are."""
INSTALL_SECONDS = 900


class NotToBeHadError(Exception):
    """The peer does not install on this machine; the message is pip's last line."""


_refused: dict[str, str] = {}
"""What did not install, and why: one try in a process is enough."""


@cache
def environment(name: str) -> Path:
    """The folder of programs of the environment that ``requirements/<name>.txt`` describes.

    Raises:
        NotToBeHadError: it cannot be installed here.
    """
    if name in _refused:
        raise NotToBeHadError(_refused[name])
    wanted = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    folder, mark = FOLDER / name, FOLDER / name / "installed"
    if not mark.exists() or mark.read_text() != digest:
        print(f"Installing what {name} needs into {folder} (once) ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        try:
            _install(folder, wanted)
        except NotToBeHadError as error:
            _refused[name] = str(error)
            raise
        mark.write_text(digest)
    return folder / "bin"


def _install(folder: Path, wanted: Path) -> None:
    command: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    try:
        done = subprocess.run(
            [*command, "-r", wanted], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotToBeHadError(f"not installed within {INSTALL_SECONDS} s") from error
    if done.returncode:
        raise NotToBeHadError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip failed")


def versions(name: str) -> dict[str, str]:
    """What its requirements name, with the versions that are installed."""
    named = {
        line.split("==")[0].split("[")[0].lower()
        for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    }
    listed = subprocess.run(
        [environment(name) / "python", "-m", "pip", "list", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    installed: list[dict[str, str]] = json.loads(listed.stdout)
    return {
        one["name"]: one["version"] for one in installed if one["name"].lower() in named | {"duckdb", "dagster"}
    }


def program(name: str, *, of: str = "main") -> list[str]:
    """The command that runs ``programs/<name>.py`` in that environment."""
    return [str(environment(of) / "python"), str(PROGRAMS / f"{name}.py")]
