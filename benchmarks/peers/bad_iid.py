"""One bad IID of a hundred: what each tool keeps, reports and tries again. Observed, not a race.

`python -m benchmarks.peers.bad_iid [--sizes 100]`: the last of the sizes is how many issues are asked for.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.fetching import existing_issues, sandbox
from benchmarks.peers import ours, rows
from benchmarks.peers.measuring import Taken
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Section
from benchmarks.peers.targeted import DLT, OURS, SCRIPT, contestants, database_of, fresh
from surgical_pipeline.sandbox.control_client import SandboxControl

MOST_ASKED = 100
HANG_MS = 30_000
LONGEST_WORDS = 160
HEAD = (
    "its answer",
    "tool",
    "exit code",
    "seconds",
    "asked for it",
    "issues kept",
    "notes kept",
    "what it says of it",
)
Plant = Callable[[SandboxControl, int], object]

FAULTS: dict[str, Plant] = {
    "404, the issue is gone": lambda control, iid: control.delete_issue(iid),
    "500 for its discussions": lambda control, iid: control.add_fault(f"*/issues/{iid}/discussions", status=500),
    "its discussions hang 30 s": lambda control, iid: control.add_fault(
        f"*/issues/{iid}/discussions", delay_ms=HANG_MS
    ),
    "broken JSON for its discussions": lambda control, iid: control.add_fault(
        f"*/issues/{iid}/discussions", mangle="broken_json"
    ),
}


def section(options: Options) -> Section:
    found = Section(
        f"One bad IID of {min(MOST_ASKED, max(options.sizes))}",
        "Observed, one round each. Kept is what the database has afterwards; beside it, how much that is if only "
        "the bad issue and its notes are missing.",
        HEAD,
    )
    iids = existing_issues(max(MOST_ASKED, 20))[: min(MOST_ASKED, max(options.sizes))]
    bad = iids[len(iids) // 2]
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(issues=MOST_ASKED) as (url, token),
        SandboxControl(url) as control,
    ):
        tools = dict(contestants(Path(folder), url=url, token=token, control=control))
        home = ours.settle_in(Path(folder) / "home", url=url, token=token)
        tools[OURS] = lambda wanted, number: ours.sync(
            wanted, fresh(Path(folder), OURS, number), environment=home, control=control, budgets=False
        )
        whole = kept_by(SCRIPT, tools[SCRIPT](iids, 0), Path(folder))
        alone = kept_by(SCRIPT, tools[SCRIPT]([bad], 0), Path(folder))
        for answer, plant in FAULTS.items():
            for name, tool in tools.items():
                control.reset()
                plant(control, bad)
                taken = tool(iids, 0)
                asked = sum(one.path.endswith(f"/issues/{bad}/discussions") for one in control.requests().requests)
                asked += sum(one.path.endswith(f"/issues/{bad}") for one in control.requests().requests)
                kept = kept_by(name, taken, Path(folder))
                found.rows.append(
                    [
                        answer,
                        name,
                        str(taken.exit_code),
                        f"{taken.seconds:.1f}",
                        f"{asked} x",
                        f"{kept[0]}; without it {whole[0] - 1}",
                        f"{kept[1]}; without it {whole[1] - alone[1]}",
                        words_of(name, taken, bad),
                    ]
                )
    return found


def kept_by(name: str, _taken: Taken, folder: Path) -> tuple[int, int]:
    """How many issues and notes its database has."""
    path = database_of(folder, name, 0)
    if not path.exists():
        return 0, 0
    read = {OURS: rows.of_ours, DLT: rows.of_dlt, SCRIPT: rows.of_script}[name]
    stored = read(path)
    return len(stored["issues"]), len(stored["notes"])


def words_of(name: str, taken: Taken, bad: int) -> str:
    """What a person would see of it, cut."""
    if name == OURS:
        failures = taken.told.get("result", {}).get("entity_failures", [])
        said = "; ".join(f"{one['code']}: {one['message']}" for one in failures) or taken.stderr
    elif name == SCRIPT and taken.told:
        said = "; ".join(taken.told["failures"])
    else:
        lines = [line for line in taken.stderr.splitlines() if line.strip()]
        named = [line for line in lines if f"issues/{bad}" in line]
        said = (named or lines or ["nothing"])[-1]
    text = json.dumps(said.strip(), ensure_ascii=False).strip('"').replace("|", "/")
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"


if __name__ == "__main__":
    run_alone(section)
