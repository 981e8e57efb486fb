"""What a process took, as the kernel tells it; and what several rounds of it say together."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surgical_pipeline.sandbox.control_client import SandboxControl

LONGEST_SECONDS = 3_600.0
TIMED = Path(__file__).with_name("programs") / "timed.py"


@dataclass(frozen=True)
class Taken:
    """One process from start to end, children that it waited for included. ``told``: what it printed as JSON."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    exit_code: int
    stdout: str
    stderr: str
    requests: int = 0
    told: Mapping[str, Any] = field(default_factory=dict)


def measured(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    control: SandboxControl | None = None,
    at_most: float = LONGEST_SECONDS,
) -> Taken:
    """Run it to its end, or kill it after ``at_most`` seconds. ``control``: the sandbox counts its requests."""
    if control is not None:
        control.clear_requests()
    # As people have it: with this set, each process would compile our modules anew.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with (
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
        tempfile.NamedTemporaryFile("r") as report,
    ):
        watched = [sys.executable, "-S", TIMED, report.name, str(at_most), *command]
        subprocess.run(
            watched, cwd=cwd, env={**variables, **environment}, stdout=stdout, stderr=stderr, check=True
        )
        texts = [(stream.seek(0), stream.read())[1] for stream in (stdout, stderr)]
        counted = json.load(report)
    return Taken(
        **counted,
        stdout=texts[0],
        stderr=texts[1],
        requests=control.requests().count if control is not None else 0,
        told=_document(texts[0]),
    )


def _document(text: str) -> Mapping[str, Any]:
    """The JSON document that it printed, whole or as its last line; empty if there is none."""
    for candidate in (text, *text.splitlines()[-1:]):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def must_succeed(taken: Taken, what: str) -> Taken:
    """The same.

    Raises:
        SystemExit: it ended with another code than 0.
    """
    if taken.exit_code:
        raise SystemExit(f"{what} ended with {taken.exit_code}:\n{taken.stderr[-2000:]}{taken.stdout[-500:]}")
    return taken


def alternating(contestants: Mapping[str, Callable[[int], Taken]], *, rounds: int) -> dict[str, list[Taken]]:
    """Each once a round, and each round begins with another, so that no one always runs on a warmer machine."""
    names = list(contestants)
    taken: dict[str, list[Taken]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(contestants[name](number))
    return taken


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.median:.3g}"
        return f"{self.median:.3g} ({self.least:.3g}-{self.most:.3g})"


def spread(rounds: Sequence[Taken], value: Callable[[Taken], float]) -> Spread:
    return Spread.of([value(one) for one in rounds])
