"""One content in a file and in PostgreSQL: every view says the same of it, value by value."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.dataset import Dataset, open_dataset
from surgical_pipeline.dataset.frames import to_frame
from surgical_pipeline.dataset.publish_settings import ON_REQUEST
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.dataset.schema import views
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.copying import copy_ledger
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.opening import open_copyable, open_ledger
from surgical_pipeline.ledger.postgres.rows import PostgresRows
from surgical_pipeline.ledger.rows import NO_READERS, TABLES
from surgical_pipeline.ledger.standing import read_standing
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.integration.dataset.everything import filled_ledger
from surgical_pipeline_tests.integration.dataset.given import bring, issue_of, merge_request_of
from surgical_pipeline_tests.integration.dataset.samples import samples
from surgical_pipeline_tests.integration.ledger.examples import run_sql
from surgical_pipeline_tests.postgres_server import PostgresServer

ODD: tuple[dict[str, Any], ...] = (
    {"created_at": "yesterday", "closed_at": "2026-02-30T00:00:00Z", "due_date": "2026-13-01", "weight": "heavy"},
    {"created_at": "2024-02-29", "closed_at": "2026-05-04 12:00:00+02", "due_date": "2024-02-29T23:59:59.5Z"},
    {"created_at": "2026-05-04T12:00", "closed_at": "2026-05-04T25:00:00Z", "due_date": "2023-02-29"},
    {"created_at": "2026-05-04T12:00:00.123456-0330", "closed_at": "2026-05-04T23:59:60Z", "due_date": "now"},
    {"created_at": {"at": 5}, "closed_at": ["2026-05-04"], "due_date": 20260504, "has_tasks": "perhaps"},
    {"created_at": "", "closed_at": "infinitely", "due_date": "2026-05-04 or so", "has_tasks": ""},
    {"weight": "5", "upvotes": 10**30, "downvotes": 5.5, "user_notes_count": " 6 ", "moved_to_id": "٣"},
    {"weight": 2.0, "upvotes": -3, "downvotes": {}, "user_notes_count": [5], "has_tasks": "yes", "imported": "F"},
    {"labels": "bug", "assignees": {"username": "ada"}, "milestone": "M1", "time_stats": [], "epic": 5},
    {"labels": ["a", None, {"name": "b"}, {"name": None}, {"title": "c"}], "assignees": [None, 5, "ada", {}]},
    {"labels": {"name": "a"}, "assignees": [], "assignee": {"username": "old"}, "author": [], "closed_by": None},
    {"labels": [], "assignees": None, "assignee": "old", "title": ["x"], "description": 'ünïcode 漢字 \\ " {}'},
    {"description": 5, "issue_type": True, "severity": None, "references": {"full": 7}, "web_url": ""},
    {"milestone": {"id": "7", "due_date": "2026-05-04", "title": {"deep": [1]}, "iid": None}},
)
"""Payloads as GitLab never sends them, beside times and numbers that it may send otherwise."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, gitlab_payloads: Path) -> DuckDBLedger:
    """Real answers, a row in every table, and payloads that are none."""
    ledger = filled_ledger(tmp_path_factory.mktemp("both") / "ledger.duckdb")
    bring(ledger, *(record for sample in samples(gitlab_payloads) for record in sample.records if sample.iid > 3))
    told = [*(json.dumps(one, separators=(",", ":")) for one in ODD), "[]", "null", "5", '"text"']
    bring(ledger, *(make(9000 + number) for number in range(len(told)) for make in (issue_of, merge_request_of)))
    with ledger.write("tamper") as tx:
        for number, payload in enumerate(told):
            where = {"iid": 9000 + number}
            run_sql(tx, "UPDATE entities SET payload = $payload WHERE iid = $iid", payload=payload, **where)
    return ledger


@pytest.fixture(scope="module")
def copied(file: DuckDBLedger, postgres: PostgresServer) -> Iterator[str]:
    """The address of the same ledger in PostgreSQL."""
    with postgres.temporary() as database:
        copy_ledger(DuckDBRows(file), PostgresRows(postgres.ledger(database)))
        yield postgres.url(database)


@pytest.fixture(scope="module")
def both(file: DuckDBLedger, copied: str) -> Iterator[tuple[Dataset, Dataset]]:
    with open_dataset(file.path) as first, open_dataset(copied) as second:
        yield first, second


def differences(first: Any, second: Any) -> list[tuple[str, Any, Any]]:
    """Column, one value, the other value; the tables have as many rows, and columns of the same dtypes."""
    frames = [to_frame(table) for table in (first, second)]
    assert list(frames[0].dtypes.items()) == list(frames[1].dtypes.items())
    rows = [sorted(table.to_pylist(), key=repr) for table in (first, second)]
    assert len(rows[0]) == len(rows[1]) > 0
    return [
        (name, one[name], other[name])
        for one, other in zip(*rows, strict=True)
        for name in one
        if one[name] != other[name]
    ]


@pytest.mark.parametrize("view", views())
def test_every_value_of_every_view_is_the_same(both: tuple[Dataset, Dataset], view: str) -> None:
    assert differences(*(dataset.table(view).arrow() for dataset in both)) == []


@pytest.mark.parametrize("confidential", [True, False])
def test_a_published_copy_of_either_holds_the_same(
    file: DuckDBLedger, copied: str, tmp_path: Path, *, confidential: bool
) -> None:
    settings = Settings(environment={"SURGICAL_LEDGER": copied})
    for ledger, name in ((file, "file"), (open_copyable(settings), "server")):
        publish(ledger, tmp_path / name, confidential=confidential, also=ON_REQUEST)
    with open_dataset(tmp_path / "file") as first, open_dataset(tmp_path / "server") as second:
        assert first.tables == second.tables
        found = {name: differences(first.arrow(name), second.arrow(name)) for name in first.tables}
    assert {name: pairs for name, pairs in found.items() if pairs} == {}


def test_a_copy_without_what_nobody_asked_for_still_tells_how_far_the_ledger_has_come(
    copied: str, tmp_path: Path
) -> None:
    settings = Settings(environment={"SURGICAL_LEDGER": copied})
    manifest = publish(open_copyable(settings), tmp_path / "published").manifest
    with open_ledger(settings).read() as tx:
        assert manifest.ledger_state == read_standing(tx).text
    assert not ON_REQUEST & manifest.tables.keys()


def test_tables_that_no_view_shows_are_not_copied_to_be_read() -> None:
    shown = set(re.findall(r"\bmain\.(\w+)", sql.views("duckdb")))
    assert TABLES.keys() - NO_READERS == shown | {"ledger_gitlab"}
