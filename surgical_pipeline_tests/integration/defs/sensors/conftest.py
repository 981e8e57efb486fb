import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.defs import list_looks
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.defs.sensors.polling import Ticks
from surgical_pipeline_tests.integration.defs.sensors.webhooks import Inbox
from surgical_pipeline_tests.integration.ledger.examples import AnyLedger
from surgical_pipeline_tests.postgres_server import PostgresServer


@pytest.fixture
def new_ledger(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], AnyLedger]]:
    """Gives a ledger to which nothing was ever written, by a name."""
    with ExitStack() as databases:

        def make(name: str) -> AnyLedger:
            if backend == "duckdb":
                return DuckDBLedger(tmp_path / f"{name}.duckdb")
            server: PostgresServer = request.getfixturevalue("postgres")
            return server.ledger(databases.enter_context(server.temporary()))

        yield make


@pytest.fixture
def inbox(tmp_path: Path, prepared_home: Path, new_ledger: Callable[[str], AnyLedger]) -> Iterator[Inbox]:
    shutil.copytree(prepared_home, tmp_path, dirs_exist_ok=True)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield Inbox(instance, new_ledger("ledger"))


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as made:
        yield made


@pytest.fixture
def unsettled_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settle rule off: it asks for what changed a minute ago, too."""
    monkeypatch.setattr("surgical_pipeline.defs.polling.due_entities", lambda *_, **__: [])


@pytest.fixture
def ticks(
    home: Path,  # noqa: ARG001  a fixture that sets the environment
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> Ticks:
    """Of a sensor that watches ``acme/rocket``."""
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/rocket")
    return Ticks(instance)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let ticks be so many seconds later: GitLab's clock is ahead of everything else."""
    real = list_looks.look_at_lists
    passed = [0.0]

    async def look(*args: object, **options: object) -> list_looks.Looks:
        looks = await real(*args, **options)  # type: ignore[arg-type]
        looks.now += timedelta(seconds=passed[0])
        return looks

    monkeypatch.setattr("surgical_pipeline.defs.polling.look_at_lists", look)

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    return pass_by
