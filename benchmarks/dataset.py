"""A publish of 1,000, 10,000 and 100,000 issues, and reading them as DataFrames from the copy and from the ledger.

`python -m benchmarks.dataset [--sizes 1000 10000 100000]`. An issue has a payload of 2.3 KB, three notes in three
discussions and 1.3 label events. Seconds are by the clock and of processor time.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surgical_pipeline.dataset import Dataset, open_dataset
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 3
PERSON = {
    "id": 7,
    "username": "ada",
    "name": "Ada Lovelace",
    "state": "active",
    "web_url": "https://gitlab.test/ada",
}
ISSUE = {
    "id": 1000,
    "iid": 1,
    "project_id": 7,
    "description": "The valve opens late when the tank is cold. " * 20,
    "created_at": "2026-01-05T08:00:00.000Z",
    "updated_at": "2026-02-05T08:00:00.000Z",
    "closed_at": None,
    "labels": ["bug", "propulsion", "priority::1"],
    "milestone": {"id": 3, "iid": 1, "title": "M1", "state": "active", "due_date": "2026-06-01"},
    "author": PERSON,
    "assignees": [PERSON],
    "assignee": PERSON,
    "upvotes": 1,
    "downvotes": 0,
    "user_notes_count": 3,
    "web_url": "https://gitlab.test/acme/rocket/-/issues/1",
    "time_stats": {"time_estimate": 0, "total_time_spent": 0},
    "task_completion_status": {"count": 0, "completed_count": 0},
    "references": {"short": "#1", "relative": "#1", "full": "acme/rocket#1"},
    "issue_type": "issue",
    "severity": "UNKNOWN",
    "has_tasks": False,
    "_links": {"self": "https://gitlab.test/api/v4/projects/7/issues/1", "notes": "https://gitlab.test/notes"},
}
NOTE = {"id": 1, "body": "Measured again, 40 ms. " * 5, "author": PERSON, "resolvable": False, "system": False}
EVENT = {"id": 1, "action": "add", "label": {"id": 5, "name": "bug"}, "user": PERSON, "resource_type": "Issue"}
FILL = (
    "INSERT INTO projects VALUES (7, 'acme/rocket', now(), NULL, 'run', now(), '{}')",
    """
    INSERT INTO entities (
        project_id, entity_type, iid, gitlab_id, title, state, updated_at, confidential, run_id, fetched_at,
        payload)
    SELECT 7, 'issue', iid, 1000 + iid, 'Issue ' || iid, 'opened', now(), iid % 50 = 0, 'run', now(), $issue
    FROM range(1, $issues + 1) AS issues(iid)
    """,
    """
    INSERT INTO dependent_fetches
    SELECT 7, 'issue', iid, 'label_events', now(), NULL, 1, NULL, 'run' FROM range(1, $issues + 1) AS issues(iid)
    """,
    """
    INSERT INTO discussions
    SELECT 7, 'issue', iid, 'd' || number, number, TRUE, 'run', now(), '{}'
    FROM range(1, $issues + 1) AS issues(iid), range(3) AS numbers(number)
    """,
    """
    INSERT INTO notes
    SELECT 3 * iid + number, 7, 'issue', iid, 'd' || number, 0, 'ada', FALSE, FALSE, now(), now(), 'run', now(),
        $note
    FROM range(1, $issues + 1) AS issues(iid), range(3) AS numbers(number)
    """,
    """
    INSERT INTO resource_events
    SELECT 'label_events', 10 * iid + number, 7, 'issue', iid, now(), 'run', now(), $event
    FROM range(1, $issues + 1) AS issues(iid), range(2) AS numbers(number)
    WHERE number = 0 OR iid % 3 = 0
    """,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    sizes = parser.parse_args().sizes
    print("| issues | ledger MB | publish s | window ms | processor s | copy MB | Parquet MB |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    reads = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            ledger = filled(Path(folder, f"{size}.duckdb"), size)
            copies = Path(folder, f"copies-{size}")
            began = time.process_time()
            done = min((publish(ledger, copies) for _ in range(ROUNDS)), key=lambda one: one.manifest.seconds)
            processor = (time.process_time() - began) / ROUNDS
            sizes_mb = [megabytes(copies / "current" / name) for name in ("gitlab.duckdb", "parquet")]
            print(
                f"| {size:,} | {megabytes(ledger.path)} | {done.manifest.seconds:.2f} "
                f"| {done.manifest.window_ms:.1f} | {processor:.2f} | {' | '.join(sizes_mb)} |"
            )
            for place in (copies, ledger.path):
                with open_dataset(place) as dataset:
                    reads.append((size, (dataset.version and "copy") or "ledger", *times_of(dataset)))
    print("\n| issues | read from | issues() s | five columns s | notes() s | group by author ms |")
    print("|---:|---|---:|---:|---:|---:|")
    for size, place, *seconds, grouped in reads:
        print(f"| {size:,} | {place} | {' | '.join(f'{one:.2f}' for one in seconds)} | {grouped * 1000:.1f} |")


def filled(path: Path, issues: int) -> DuckDBLedger:
    ledger = DuckDBLedger(path)
    values: dict[str, Any] = {
        "issues": issues,
        "issue": json.dumps(ISSUE),
        "note": json.dumps(NOTE),
        "event": json.dumps(EVENT),
    }
    with ledger.write("fill") as tx:
        connection = tx._connection  # noqa: SLF001  a ledger that no sync made
        for statement in FILL:
            used = {name: value for name, value in values.items() if re.search(rf"\${name}\b", statement)}
            connection.execute(statement, used)
    ledger.checkpoint()
    return ledger


def times_of(dataset: Dataset) -> tuple[float, ...]:
    five = ["iid", "title", "state", "author_username", "created_at"]
    grouped = "SELECT author_username, state, COUNT(*) FROM issues GROUP BY ALL"
    return (
        best(dataset.issues),
        best(lambda: dataset.issues(columns=five)),
        best(dataset.notes),
        best(lambda: dataset.sql(grouped)),
    )


def best(work: Callable[[], object]) -> float:
    """Seconds of the quickest of three."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def megabytes(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1_000_000:.1f}"


if __name__ == "__main__":
    main()
