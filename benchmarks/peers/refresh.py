"""Ten of 500 issues change: what it takes to bring them up to date, and what is not seen.

`python -m benchmarks.peers.refresh [--rounds 3]`: everybody has read all 500 before. Ours is told the ten; the
others have no way to be told, and ask for what changed since they stopped.
"""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.fetching import existing_issues, sandbox
from benchmarks.peers import floors, ours, ten_changes
from benchmarks.peers.environments import NotToBeHadError
from benchmarks.peers.extractors import AIRBYTE, SINGER, Extractor, airbyte, base_url_of_singer, singer
from benchmarks.peers.measuring import Spread, Taken, must_succeed, spread
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Contest, Floor, Section
from benchmarks.peers.targeted import OURS, fresh
from surgical_pipeline.sandbox.control_client import SandboxControl

ISSUES = 500
LATENCY_MS = 20
HEAD = (
    "tool",
    "requests",
    "seconds",
    "processor s",
    "issues right",
    "late labels seen",
    "new notes there",
    "deleted notes gone",
    "label events there",
)
Looks = dict[str, list[ten_changes.Look]]


def section(options: Options) -> Section:
    found = Section(
        f"Refresh ten of {ISSUES}",
        f"All {ISSUES} issues were read before. Then ten change: four titles, two new notes, two labels within a "
        f"minute of another change and two deleted notes, neither of which moves `updated_at`. Answers take "
        f"{LATENCY_MS} ms. Ours is told the ten, fetches each with discussions and events and stores it with "
        "documents and embeddings; the others ask for the issues that changed since their last time and write "
        "them to stdout, without a destination that would store them.",
        HEAD,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(issues=ISSUES) as (url, token),
        SandboxControl(url) as control,
    ):
        iids = existing_issues(ISSUES)
        ten = ten_changes.Ten(control, url=url, token=token, iids=iids[:: len(iids) // ten_changes.NUMBER])
        ten.prepare(rounds=options.rounds)
        control.set_latency(LATENCY_MS)
        control.add_fault(
            "*/groups", status=200, body="[]"
        )  # a token without groups; the sandbox has no such list
        peers = list(_extractors(Path(folder), found, url=url, token=token))
        tools: dict[str, Callable[[int], Taken]] = {one.name: _bound(one, control) for one in peers}
        ledger, home = fresh(Path(folder), OURS, 0), ours.settle_in(Path(folder) / "home", url=url, token=token)
        must_succeed(ours.sync(iids, ledger, environment=home, control=control), OURS)
        first = {one.name: one.read(control) for one in peers}
        tools[OURS] = lambda _number: must_succeed(
            ours.sync(ten.iids, ledger, environment=home, control=control), OURS
        )
        taken, looks = _rounds(tools, ten, ledger, peers, rounds=options.rounds)
    for name in (OURS, *(one.name for one in peers)):
        found.rows.append(_row(name, taken[name], looks[name], next((p for p in peers if p.name == name), None)))
    found.notes += [f"{name} read all {ISSUES} with {one.requests} requests." for name, one in first.items()]
    floor = floors.seconds_of(ten.iids, latency_ms=LATENCY_MS, url=url, token=token)
    _compare(found, taken, looks, floor=floor)
    return found


def _extractors(folder: Path, found: Section, *, url: str, token: str) -> Iterable[Extractor]:
    """Those that can be had here; what was observed of them on the way becomes notes."""
    for name, make in ((AIRBYTE, airbyte), (SINGER, singer)):
        try:
            made = make(folder / name, url=url, token=token)
        except NotToBeHadError as error:
            found.notes.append(f"{name} is not to be had on this machine: {error}")
            continue
        own = ", ".join(made.dependents) or "none"
        found.notes.append(f"{name} has {len(made.streams)} streams, of notes, discussions or events: {own}.")
        if name == SINGER:
            asked = base_url_of_singer(folder, url)
            found.notes.append(
                f"{name} asks {asked} even if its configuration names another address, so it reads no other "
                "GitLab; here its address was replaced while it ran. It sends `updated_since`, which GitLab does "
                "not know, and reads the whole list each time."
                if not asked.startswith(url)
                else f"{name} asks the address that its configuration names."
            )
        yield made


def _bound(peer: Extractor, control: SandboxControl) -> Callable[[int], Taken]:
    return lambda _number: peer.read(control)


def _rounds(
    tools: dict[str, Callable[[int], Taken]],
    ten: ten_changes.Ten,
    ledger: Path,
    peers: list[Extractor],
    *,
    rounds: int,
) -> tuple[dict[str, list[Taken]], Looks]:
    """The ten change once a round, and then everybody has a turn, each round beginning with another."""
    names = list(tools)
    taken: dict[str, list[Taken]] = {name: [] for name in names}
    looks: Looks = {name: [] for name in names}
    for number in range(rounds):
        ten.change(number)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            taken[name].append(tools[name](number))
        truth = ten.truth()
        looks[OURS].append(ten.look(ten_changes.of_ledger(ledger, ten.iids), truth, number))
        for peer in peers:
            looks[peer.name].append(ten.look(ten_changes.of_records(peer.issues, ten.iids), truth, number))
    return taken, looks


def _row(name: str, taken: list[Taken], looks: list[ten_changes.Look], peer: Extractor | None) -> list[str]:
    reads = peer is None or bool(peer.dependents)

    def told(value: Callable[[ten_changes.Look], int], number: int, *, dependent: bool = True) -> str:
        if dependent and not reads:
            return "reads none"
        return f"{Spread.of([value(look) for look in looks])} of {number}"

    return [
        name,
        str(spread(taken, lambda one: one.requests)),
        str(spread(taken, lambda one: one.seconds)),
        str(spread(taken, lambda one: one.cpu_seconds)),
        told(lambda look: look.issues, ten_changes.NUMBER, dependent=False),
        told(lambda look: look.labels, len(ten_changes.LATE_LABEL), dependent=False),
        told(lambda look: look.new_notes, len(ten_changes.NEW_NOTE)),
        told(lambda look: look.deleted_notes, len(ten_changes.DELETED_NOTE)),
        told(lambda look: look.label_events, len(ten_changes.LATE_LABEL)),
    ]


def _compare(found: Section, taken: dict[str, list[Taken]], looks: Looks, *, floor: float) -> None:
    mine = taken[OURS]
    figures: dict[str, Callable[[Taken], float]] = {
        f"requests to refresh ten of {ISSUES}": lambda one: one.requests,
        f"refresh ten of {ISSUES}, whole command, s": lambda one: one.seconds,
    }
    for name, rounds in taken.items():
        if name == OURS:
            continue
        ours_right, right = (Spread.of([one.issues for one in looks[who]]).median for who in (OURS, name))
        run = spread(mine, lambda one: one.told["seconds"])
        why = (
            f"it reads the list of issues alone, and of the ten {right:g} were right afterwards, of ours "
            f"{ours_right:g}; ours also asks {4 * ten_changes.NUMBER} times for notes and events, and of its "
            f"seconds the run takes {run.median:.3g}"
        )
        found.contests += [
            Contest(what, name, spread(mine, value), spread(rounds, value), why=why)
            for what, value in figures.items()
        ]
    fewest = floors.fewest_requests(ten_changes.NUMBER)
    found.floors += [
        Floor("requests for the ten", spread(mine, lambda one: one.requests), fewest),
        Floor("fetch and store the ten, s", spread(mine, lambda one: one.told["fetching_seconds"]), floor),
        Floor("the whole command for the ten, s", spread(mine, lambda one: one.seconds), floor),
    ]


if __name__ == "__main__":
    run_alone(section)
