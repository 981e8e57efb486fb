"""Many processes sync overlapping scopes against one ledger while somebody edits in GitLab."""

import random
import statistics
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.runs import list_runs
from surgical_pipeline_tests.soak.child import context, start, start_watched
from surgical_pipeline_tests.soak.installation import Installation

LIMIT_SECONDS = 900
EDIT_EVERY_SECONDS = 0.05
_ROWS = """
SELECT 'issue', iid, updated_at, fetched_at FROM issues
UNION ALL SELECT 'merge_request', iid, updated_at, fetched_at FROM merge_requests
"""


@dataclass(frozen=True)
class ContentionReport:
    """``waits_ms``: of each process and window; ``lost``: entities whose row is not the newest fetch."""

    processes: int
    statuses: Counter[str]
    codes: Counter[str]
    lost: list[str]
    violations: list[str]
    waits_ms: list[list[float]]

    @property
    def all_waits_ms(self) -> list[float]:
        return sorted(wait for waits in self.waits_ms for wait in waits)

    @property
    def jain_index(self) -> float:
        """Of the processes' mean waits: 1 where all waited alike, 1/n where one waited for all."""
        means = [statistics.fmean(waits) for waits in self.waits_ms if waits]
        return sum(means) ** 2 / (len(means) * sum(mean**2 for mean in means))

    def percentile_ms(self, share: float) -> float:
        waits = self.all_waits_ms
        return waits[min(len(waits) - 1, int(share * len(waits)))]


def contend(installation: Installation, *, processes: int, seed: int, entities: int = 20) -> ContentionReport:
    """All start at once; each asks for some of the same sixty issues and for two merge requests."""
    server, dice = context(), random.Random(seed)
    scopes = [
        f"acme/rocket#{'+'.join(map(str, dice.sample(range(1, 61), entities)))}!34+35" for _ in range(processes)
    ]
    first = start(server, installation.home, installation.environment, "acme/rocket#12")
    first.join(LIMIT_SECONDS)  # Dagster makes its own SQLite files when it is first used, and not for many at once
    with _editing(installation, dice):
        running = [start_watched(server, installation.home, installation.environment, scope) for scope in scopes]
        for process in running:
            process.join(LIMIT_SECONDS)
            if process.exitcode is None:
                process.kill()
    with installation.ledger.read() as tx:
        runs = [run for run in list_runs(tx, limit=1000) if run.scope != "acme/rocket#12"]
    return ContentionReport(
        processes=processes,
        statuses=Counter(str(run.status) for run in runs),
        codes=Counter(str(run.failure_code) for run in runs if run.failure_code),
        lost=_lost_updates(installation),
        violations=installation.violations(),
        waits_ms=[_floats(path) for path in sorted((installation.home / "waits").glob("*.txt"))],
    )


@contextmanager
def _editing(installation: Installation, dice: random.Random) -> Iterator[None]:
    over = threading.Event()

    def edit() -> None:
        number = 0
        while not over.wait(EDIT_EVERY_SECONDS):
            number += 1
            installation.sandbox.control.update_merge_request(dice.choice((34, 35)), title=f"Edit {number}")

    editor = threading.Thread(target=edit)
    editor.start()
    try:
        yield
    finally:
        over.set()
        editor.join()


def _lost_updates(installation: Installation) -> list[str]:
    newest: dict[EntityKey, EntityRecord] = {}
    for path in (installation.home / "snapshots").glob("*.jsonl"):
        for batch in SnapshotFile(path).batches():
            for record in batch:
                known = newest.get(record.key)
                if known is None or _age(record) > _age(known):
                    newest[record.key] = record
    with installation.ledger.read() as tx:
        rows = tx._connection.execute(_ROWS).fetchall()
    stored = {(kind, iid): (updated_at, fetched_at) for kind, iid, updated_at, fetched_at in rows}
    return [
        f"{key}: the ledger has {stored.get((str(key.entity_type), key.iid))}, the newest fetch is {_age(record)}"
        for key, record in newest.items()
        if stored.get((str(key.entity_type), key.iid)) != _age(record)
    ]


def _age(record: EntityRecord) -> tuple[datetime, datetime]:
    return record.updated_at, record.fetched_at


def _floats(path: Path) -> list[float]:
    return [float(line) for line in path.read_text(encoding="utf-8").split()]
