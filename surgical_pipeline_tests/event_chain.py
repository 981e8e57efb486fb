"""All parts between an edit in GitLab and its new vector, as processes: sandbox, receiver, `dagster dev`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import DagsterDev, end_tree, running_dagster_dev, wait_until
from surgical_pipeline_tests.ledger_dump import Row, query
from surgical_pipeline_tests.ledger_gate import held
from surgical_pipeline_tests.store_equals_sandbox import Key, differences

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
SIGNING_TOKEN = "whsec_c2lnbmluZyB0b2tlbiBvZiB0aGUgc2FuZGJveA=="
PROJECT = "acme/rocket"
READY_SECONDS = 60


@dataclass
class EventChain:
    """``dev`` is None where only the receiver runs, and ``receiver`` where GitLab is only polled."""

    home: Path
    sandbox: RunningSandbox
    environment: dict[str, str]
    dev: DagsterDev | None = None
    receiver: "subprocess.Popen[str] | None" = None
    address: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def ledger(self) -> Path:
        return self.home / "ledger.duckdb"

    def start_receiver(self, *, port: int = 0) -> None:
        """Start it (again, on the same port) and wait until it takes hooks."""
        with (self.home / "receiver.log").open("a", encoding="utf-8") as log:
            self.receiver = subprocess.Popen(
                [PROGRAM, "webhook", "serve", "--port", str(port), "--json"],
                cwd=self.home,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.receiver.stdout is not None
        text = ""
        for line in self.receiver.stdout:
            text += line
            if line.rstrip() == "}":
                break
        self.address = json.loads(text)["url"]

    def restart_receiver(self) -> None:
        """On the port that GitLab knows, after its end."""
        assert self.receiver is not None
        assert self.receiver.stdout is not None
        self.receiver.stdout.close()
        self.start_receiver(port=urlsplit(self.address).port or 0)

    def start_dagster(self) -> None:
        """Start it, or start it again after its end."""
        self.dev = self._stack.enter_context(running_dagster_dev(self.home, self.environment))

    def rows(self, sql: str) -> list[Row]:
        """Read under the ledger's own lock, as another window would."""
        if not self.ledger.exists():
            return []
        with held(self.ledger):
            return query(self.ledger, sql)

    def wait_for_vector(self, text: str, *, seconds: float = 120) -> None:
        """Return once a document with ``text`` in its title has a vector of its present text."""
        found = (
            "SELECT 1 FROM documents JOIN embeddings USING (document_id, content_hash) "
            f"WHERE documents.title LIKE '%{text}%' LIMIT 1"
        )
        wait_until(lambda: self.rows(found), limit_seconds=seconds, what=f"{text} is embedded")

    def differences(self, expected: Iterable[Key] = ()) -> list[str]:
        with held(self.ledger):
            return differences(self.ledger, self.sandbox.url, project=PROJECT, expected=expected)

    def close(self) -> None:
        self._stack.close()
        if self.receiver is not None:
            end_tree(self.receiver)  # type: ignore[arg-type]
            if self.receiver.stdout is not None:
                self.receiver.stdout.close()


@contextmanager
def event_chain(home: Path, sandbox: RunningSandbox, *, hooks: bool, polling: bool) -> Iterator[EventChain]:
    """The whole chain, told by hooks, by polling, or by both."""
    environment = {
        "DAGSTER_HOME": str(home),
        "GITLAB_URL": sandbox.url,
        "GITLAB_TOKEN": sandbox.token,
        "SURGICAL_LEDGER": str(home / "ledger.duckdb"),
    }
    if hooks:
        environment["SURGICAL_WEBHOOK_SIGNING_TOKEN"] = SIGNING_TOKEN
    if polling:
        environment["SURGICAL_PROJECTS"] = PROJECT
    chain = EventChain(home, sandbox, environment)
    try:
        if hooks:
            chain.start_receiver()
            sandbox.control.hooks.add(chain.address, signing_token=SIGNING_TOKEN)
        chain.start_dagster()
        yield chain
    finally:
        sandbox.control.hooks.clear()
        chain.close()
