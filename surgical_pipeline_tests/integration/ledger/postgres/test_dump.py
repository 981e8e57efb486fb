"""PostgreSQL's own tools make the backups: what pg_dump wrote, pg_restore makes the same ledger of."""

import subprocess
from pathlib import Path
from typing import Any

from surgical_pipeline.dataset.schema import views
from surgical_pipeline.ledger.copying import copy_ledger
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.postgres.rows import PostgresRows
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.runs import ledger_name
from surgical_pipeline.ledger.search import Filters, rank_by_words
from surgical_pipeline.search.question import Question
from surgical_pipeline_tests.integration.dataset.everything import filled_ledger
from surgical_pipeline_tests.integration.ledger.examples import read_sql, start
from surgical_pipeline_tests.postgres_server import PostgresServer


def test_a_restored_dump_is_the_same_ledger_with_its_views_and_goes_on(
    postgres: PostgresServer, new_ledger: PostgresLedger, tmp_path: Path
) -> None:
    copy_ledger(DuckDBRows(filled_ledger(tmp_path / "ledger.duckdb")), PostgresRows(new_ledger))
    dump = tmp_path / "ledger.dump"
    with dump.open("wb") as file:
        command: list[Any] = [postgres.binaries / "pg_dump", "--format=custom", new_ledger.address.text]
        subprocess.run(command, check=True, stdout=file)
    with postgres.temporary() as database:
        into: list[Any] = ["--no-owner", "--exit-on-error", "--dbname", postgres.url(database)]
        subprocess.run([postgres.binaries / "pg_restore", *into, dump], check=True)
        restored = postgres.ledger(database)
        with new_ledger.read() as tx, restored.read() as copied:
            assert check(copied) == check(tx)
            assert ledger_name(copied) == ledger_name(tx)
            assert rank_by_words(copied, Question.of("open"), filters=Filters(), depth=9)
            for view in views():
                text = f"SELECT * FROM gitlab.{view} AS one ORDER BY one::TEXT"
                assert read_sql(copied, text) == read_sql(tx, text) != []
        start(restored, "run-2")
