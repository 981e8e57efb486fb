"""What each part of the comparison found, kept as JSON in `.peers/parts/` as soon as it ends.

So a run that is stopped loses the part that it was in and no other, and another run can go on from there.
"""

import json
import os
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import FOLDER, REPOSITORY
from benchmarks.peers.measuring import Spread
from benchmarks.peers.options import Options
from benchmarks.peers.results import Contest, Floor, Section


def path_of(name: str) -> Path:
    return FOLDER / "parts" / f"{name}.json"


def keep(name: str, section: Section, options: Options) -> None:
    """Whole or not at all: a kill leaves the file as it was."""
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    document = {"section": asdict(section), "options": asdict(options), "commit": commit()}
    unfinished.write_text(json.dumps(document, indent=1), encoding="utf-8")
    unfinished.replace(path)


def kept(name: str, options: Options) -> Section | None:
    """What was kept of it; None if there is nothing, or it is of other code or other options."""
    path = path_of(name)
    if not path.exists():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    same_options = document["options"] == json.loads(json.dumps(asdict(options)))
    return _section(document["section"]) if same_options and document["commit"] == commit() else None


def now() -> str:
    """For ``Section.measured``, before it is measured."""
    load = os.getloadavg()[0]
    return f"Measured from {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on, at {commit()}; load before: {load:.1f}."


def commit() -> str:
    """The commit that is checked out, with a mark if files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _section(values: dict[str, Any]) -> Section:
    values["contests"] = [
        Contest(**{**one, "ours": Spread(**one["ours"]), "theirs": Spread(**one["theirs"])})
        for one in values["contests"]
    ]
    values["floors"] = [Floor(**{**one, "ours": Spread(**one["ours"])}) for one in values["floors"]]
    return Section(**values)
