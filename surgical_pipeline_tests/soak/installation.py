"""A DAGSTER_HOME of its own beside a sandbox, for the harnesses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.sandbox.server import RunningSandbox


@dataclass(frozen=True)
class Installation:
    home: Path
    environment: dict[str, str]
    sandbox: RunningSandbox

    @property
    def ledger(self) -> DuckDBLedger:
        return DuckDBLedger(self.home / "ledger.duckdb")

    def violations(self) -> list[str]:
        """Broken invariants of the ledger, with an example each; none where there is no ledger yet."""
        if not self.ledger.exists:
            return []
        with self.ledger.read() as tx:
            found = check(tx).violations
        return [f"{one.invariant}: {one.count}, such as {one.examples[0]}" for one in found]


@contextmanager
def installed(home: Path) -> Iterator[Installation]:
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with RunningSandbox() as sandbox:
        environment = {"DAGSTER_HOME": str(home), "GITLAB_URL": sandbox.url, "GITLAB_TOKEN": sandbox.token}
        yield Installation(home, environment, sandbox)
