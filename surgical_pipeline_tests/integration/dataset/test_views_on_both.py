"""One content in a file and in PostgreSQL: every view says the same of it, value by value."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.dataset import Dataset, open_dataset
from surgical_pipeline.dataset.frames import to_frame
from surgical_pipeline.dataset.schema import views
from surgical_pipeline.ledger.copying import copy_ledger
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.postgres.rows import PostgresRows
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
def both(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, gitlab_payloads: Path
) -> Iterator[tuple[Dataset, Dataset]]:
    """Real answers, a row in every table, and payloads that are none; in a file, and copied to PostgreSQL."""
    file = filled_ledger(tmp_path_factory.mktemp("both") / "ledger.duckdb")
    bring(file, *(record for sample in samples(gitlab_payloads) for record in sample.records if sample.iid > 3))
    bring(file, *(make(9000 + number) for number in range(len(ODD) + 4) for make in (issue_of, merge_request_of)))
    told = [*(json.dumps(one, separators=(",", ":")) for one in ODD), "[]", "null", "5", '"text"']
    with file.write("tamper") as tx:
        for number, payload in enumerate(told):
            run_sql(
                tx, "UPDATE entities SET payload = $payload WHERE iid = $iid", payload=payload, iid=9000 + number
            )
    with postgres.temporary() as database:
        copy_ledger(DuckDBRows(file), PostgresRows(postgres.ledger(database)))
        with open_dataset(file.path) as first, open_dataset(postgres.url(database)) as second:
            yield first, second


@pytest.mark.parametrize("view", views())
def test_every_value_of_every_view_is_the_same(both: tuple[Dataset, Dataset], view: str) -> None:
    first, second = (dataset.table(view).arrow() for dataset in both)
    frames = [to_frame(table) for table in (first, second)]
    assert list(frames[0].dtypes.items()) == list(frames[1].dtypes.items())
    rows = [sorted(table.to_pylist(), key=repr) for table in (first, second)]
    assert len(rows[0]) == len(rows[1]) > 0
    differ = [
        (name, one[name], other[name])
        for one, other in zip(*rows, strict=True)
        for name in one
        if one[name] != other[name]
    ]
    assert differ == []
