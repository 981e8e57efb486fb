"""The one writer of results.md: tables of medians with their spread, who wins where, machine and versions.

The summary is made of the figures alone. Why a peer wins is said by the part that measured it, from what it
measured.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.environments import NotToBeHadError, versions
from benchmarks.peers.measuring import Spread

PATH = Path(__file__).parents[1] / "results.md"
_OURS = ("dagster", "duckdb", "httpx", "surgical-pipeline", "wordllama")
_ENVIRONMENTS = ("main", "airbyte", "singer", "minilm")
HIGHEST_FLOOR = 1.3
"""What is more is told in the summary."""


@dataclass(frozen=True)
class Contest:
    """One figure of ours beside a peer's; less is better.

    ``goal``: the least ratio that we want; None: there is none. ``why``: what else was measured that tells where
    the difference comes from; it is printed if the peer wins or the goal is missed.
    """

    what: str
    peer: str
    ours: Spread
    theirs: Spread
    goal: float | None = None
    why: str = ""

    @property
    def ratio(self) -> float:
        """How many times as much the peer takes."""
        return self.theirs.median / self.ours.median if self.ours.median else float("inf")

    @property
    def certain(self) -> bool:
        """No round of the one came near a round of the other."""
        return self.ours.most < self.theirs.least or self.theirs.most < self.ours.least


@dataclass(frozen=True)
class Floor:
    """A figure of ours beside what nobody can go below."""

    what: str
    ours: Spread
    floor: float

    @property
    def ratio(self) -> float:
        return self.ours.median / self.floor if self.floor else float("inf")


@dataclass
class Section:
    """What one benchmark found. ``head`` and ``rows`` are its table; ``notes`` stand below it.

    ``measured``: when, and how busy the machine was before.
    """

    title: str
    text: str
    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contests: list[Contest] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)
    measured: str = ""

    def __str__(self) -> str:
        text = f"{self.text} {self.measured}".rstrip()
        lines = [f"## {self.title}", "", text, "", _row(self.head), _row(["---"] * len(self.head))]
        lines += [_row(row) for row in self.rows]
        if self.floors:
            lines += ["", "| figure | ours | floor | ours ÷ floor |", "|---|---|---|---|"]
            lines += [
                _row([one.what, str(one.ours), f"{one.floor:.3g}", f"{one.ratio:.2f}"]) for one in self.floors
            ]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines)


def page(sections: Sequence[Section], *, rounds: int) -> str:
    """All of it as one page of Markdown."""
    contests = [contest for section in sections for contest in section.contests]
    floors = [floor for section in sections for floor in section.floors]
    lines = [
        "# Side by side",
        "",
        (
            f"Written by `python -m benchmarks.peers --write` at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: medians "
            f"of {rounds} rounds, of two where a round takes minutes and of one from 5,000 issues on, in which "
            "ours and the peers took turns against one sandbox, with the least and the most in parentheses."
        ),
        "",
        "Where a run's seconds go, and what was tried: [decision](../docs/decisions/where-the-seconds-go.md).",
        "",
        *summary(contests, floors),
        "",
        "## Machine and versions",
        "",
        *_machine(),
        "",
        *(f"{section}\n" for section in sections),
    ]
    return "\n".join(lines).rstrip() + "\n"


def write(sections: Sequence[Section], *, rounds: int) -> None:
    PATH.write_text(page(sections, rounds=rounds), encoding="utf-8")


def summary(contests: Iterable[Contest], floors: Iterable[Floor]) -> list[str]:
    """Where a peer wins comes first, the clearest first; then what falls short, then where ours wins."""
    ordered = sorted(contests, key=lambda one: one.ratio)
    lost = [one for one in ordered if one.ratio < 1]
    won = [one for one in ordered if one.ratio >= 1]
    missed = [one for one in won if one.goal is not None and one.ratio < one.goal]
    high = sorted((one for one in floors if one.ratio > HIGHEST_FLOOR), key=lambda one: -one.ratio)
    lines = ["## Summary", ""]
    lines += [_lost(one) for one in lost] or ["- No peer wins in any figure below."]
    lines += [f"- Short of the goal of {one.goal:g} times: {_contest(one)}{_why(one)}" for one in missed]
    lines += [
        f"- More than {HIGHEST_FLOOR:g} times its floor: {one.what}: {one.ours}, floor {one.floor:.3g}; "
        f"ours to floor {one.ratio:.2f}"
        for one in high
    ]
    lines += [f"- Ours wins: {_contest(one)}" for one in won if one not in missed]
    return lines


def _lost(one: Contest) -> str:
    goal = f" (the goal is {one.goal:g})" if one.goal is not None else ""
    return f"- **{one.peer} wins**{goal}: {_contest(one)}{_why(one)}"


def _why(one: Contest) -> str:
    return f": {one.why}" if one.why else "; nothing that was measured tells why"


def _contest(one: Contest) -> str:
    sure = "" if one.certain else ", but rounds of the two overlap"
    return f"{one.what}: ours {one.ours}, {one.peer} {one.theirs}; theirs to ours {one.ratio:.2f}{sure}"


def _machine() -> list[str]:
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = [
        (
            f"- {platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores, "
            f"{pages / 2**30:.0f} GB of memory"
        ),
        f"- ours: Python {platform.python_version()}, {_listed({name: version(name) for name in _OURS})}",
    ]
    for name in _ENVIRONMENTS:
        try:
            lines.append(f"- {name}: {_listed(versions(name))}")
        except NotToBeHadError as error:
            lines.append(f"- {name}: not to be had on this machine ({error})")
    return lines


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _listed(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(found.items()))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
