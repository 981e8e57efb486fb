"""What the typed views say of real answers, and of what GitLab never sends."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from surgical_pipeline.dataset.schema import SCHEMA, TABLES, views
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DependentSet, NoteRecord
from surgical_pipeline.gitlab.records import parse_dependent
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.content import record_misses, upsert_project
from surgical_pipeline.ledger.duckdb.maintenance import compact
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.dataset.given import bring, events_of, issue_of, merge_request_of, rows_of
from surgical_pipeline_tests.integration.dataset.samples import expected, samples
from surgical_pipeline_tests.integration.ledger.examples import (
    PROJECT,
    AnyLedger,
    at,
    discussion,
    discussions,
    issue,
    linked,
    merge_request,
    note,
    read_sql,
    run_sql,
    start,
)

FLAGS = {"confidential", "system"}
"""Where an old GitLab does not say so, it is not."""


def number_of(row: dict[str, Any]) -> int:
    return int(
        next(row[name] for name in ("noteable_iid", "merge_request_iid", "issue_iid", "iid") if name in row)
    )


def test_each_field_of_each_real_answer_is_what_its_view_says(ledger: AnyLedger, gitlab_payloads: Path) -> None:
    known = list(samples(gitlab_payloads))
    bring(ledger, *(record for sample in known for record in sample.records))
    by_table = {
        table: {number_of(row): row for row in rows_of(ledger, table)} for table in {s.table for s in known}
    }
    wrong, compared, filled = [], Counter[str](), Counter[str]()
    for sample in known:
        row = by_table[sample.table][sample.iid]
        for column in TABLES[sample.table].columns:
            if not column.path:
                continue
            said = expected(column, sample.payload)
            if said is None and column.name in FLAGS:
                said = False
            compared[sample.table] += 1
            filled[sample.table] += said is not None
            if row[column.name] != said:
                wrong.append((sample.table, sample.iid, column.name, row[column.name], said))
    assert wrong == []
    assert compared.total() > 4500
    assert filled.total() > 2800


def test_nothing_that_gitlab_never_sends_breaks_a_view(ledger: AnyLedger) -> None:
    odd = {
        "created_at": "yesterday",
        "closed_at": {"at": 5},
        "due_date": "2026-02-30",
        "weight": "heavy",
        "upvotes": 10**30,
        "has_tasks": "perhaps",
        "labels": "bug",
        "assignees": {"username": "ada"},
        "milestone": "M1",
        "time_stats": [],
        "epic": 5,
    }
    bring(ledger, issue_of(1), issue_of(2))
    with ledger.write("tamper") as tx:
        run_sql(tx, f"UPDATE entities SET payload = '{json.dumps(odd)}' WHERE iid = 1")
    first, second = sorted(rows_of(ledger, "issues"), key=number_of)
    for name in ("created_at", "closed_at", "due_date", "weight", "upvotes", "has_tasks", "labels"):
        assert (name, first[name], second[name]) == (name, None, None)
    assert first["milestone_title"] is first["time_stats_time_estimate"] is first["epic_iid"] is None


def test_a_payload_that_is_no_object_gives_a_row_of_nulls(ledger: AnyLedger) -> None:
    bring(ledger, issue_of(1, description="text"))
    for payload in ("[]", "null", "5", '"text"'):
        with ledger.write("tamper") as tx:
            run_sql(tx, f"UPDATE entities SET payload = '{payload}'")
        (row,) = rows_of(ledger, "issues")
        assert (row["title"], row["description"], row["assignees"]) == ("T", None, None)
        assert rows_of(ledger, "assignees") == rows_of(ledger, "labels") == []


COLUMNS = {
    "duckdb": "SELECT table_name, column_name, data_type FROM duckdb_columns() "
    f"WHERE schema_name = '{SCHEMA}' ORDER BY table_name, column_index",
    "postgres": "SELECT attrelid::REGCLASS::TEXT, attname, format_type(atttypid, atttypmod) FROM pg_attribute "
    "JOIN pg_class ON pg_class.oid = attrelid "
    f"WHERE relnamespace = '{SCHEMA}'::REGNAMESPACE AND attnum > 0 ORDER BY relname, attnum",
}
NAMES = {
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "TEXT": "VARCHAR",
    "DOUBLE PRECISION": "DOUBLE",
    "TEXT[]": "VARCHAR[]",
    "REAL[]": "FLOAT[]",
}
"""What databases call the types."""


def test_every_view_has_the_columns_and_types_that_it_tells(ledger: AnyLedger, backend: str) -> None:
    with ledger.read() as tx:
        found = read_sql(tx, COLUMNS[backend])
    assert [
        (table.removeprefix(f"{SCHEMA}."), column, NAMES.get(kind.upper(), kind.upper()))
        for table, column, kind in found
    ] == [(name, column.name, str(column.type)) for name, columns in sorted(views().items()) for column in columns]


def test_only_live_rows_are_shown_and_all_rows_on_request(ledger: AnyLedger) -> None:
    bring(
        ledger,
        issue_of(1, labels=["bug"], assignees=[{"id": 1, "username": "ada"}]),
        issue_of(2),
        discussions(issue(1), discussion("d1", note(1))),
        events_of(issue(1), "label_events", (0, {"action": "add", "label": {"name": "bug"}})),
        linked(issue(1), Dependent.LINKS, ["5"]),
    )
    of_the_first = ("issues", "labels", "assignees", "notes", "discussions", "label_events", "links")
    assert {name: len(rows_of(ledger, name)) for name in of_the_first} == dict.fromkeys(of_the_first, 1) | {
        "issues": 2
    }
    for number in (2, 3):
        with start(ledger, f"run-{number}", "acme/rocket#1").window("ingest") as tx:
            record_misses(tx, f"run-{number}", PROJECT.project_id, [issue(1)], missed_at=at(number * 100))
        assert len(rows_of(ledger, "notes")) == 3 - number, "a first miss may be a mistake"
    assert [number_of(row) for row in rows_of(ledger, "issues")] == [2]
    for name in of_the_first[1:]:
        assert rows_of(ledger, name) == []
        (row,) = rows_of(ledger, f"all_{name}")
        assert row["deleted_at"] is not None
    assert [row["deleted_at"] is None for row in sorted(rows_of(ledger, "all_issues"), key=number_of)] == [
        False,
        True,
    ]
    assert rows_of(ledger, "label_spans") == []


def test_a_project_that_was_deleted_and_created_again_shows_only_the_new_one(ledger: AnyLedger) -> None:
    bring(ledger, issue_of(1), discussions(issue(1), discussion("d1", note(1))))
    again = replace(PROJECT, project_id=8, payload='{"id": 8}', created_at=at(500))
    with ledger.write("again") as tx:
        upsert_project(tx, "run-2", again, at(600))
    assert rows_of(ledger, "issues") == rows_of(ledger, "notes") == []
    (gone,) = rows_of(ledger, "all_issues")
    assert (gone["project_id"], gone["deleted_at"]) == (7, at(500))


def test_a_discussion_is_resolved_when_all_its_notes_are(ledger: AnyLedger) -> None:
    def said(number: int, *, resolved: bool | None, by: str = "", when: str = "") -> NoteRecord:
        told: dict[str, Any] = {"id": number, "resolvable": resolved is not None, "resolved": bool(resolved)}
        told |= {"resolved_by": {"id": number, "username": by}, "resolved_at": when} if by else {}
        return replace(note(number, position=number % 10), payload=json.dumps(told))

    bring(
        ledger,
        merge_request_of(1, web_url="https://gitlab.test/1"),
        discussions(
            merge_request(1),
            discussion(
                "half", said(11, resolved=True, by="ada", when="2026-05-04T12:00:00Z"), said(12, resolved=False)
            ),
            discussion(
                "whole",
                said(21, resolved=True, by="ada", when="2026-05-04T13:00:00Z"),
                said(22, resolved=True, by="grace", when="2026-05-04T12:00:00Z"),
                said(23, resolved=None),
            ),
            discussion("chat", said(31, resolved=None)),
        ),
    )
    found = {row["id"]: row for row in rows_of(ledger, "discussions")}
    names = ("resolvable", "resolved", "resolved_by_username", "notes_count", "web_url")
    assert {one: tuple(row[name] for name in names) for one, row in found.items()} == {
        "half": (True, False, None, 2, "https://gitlab.test/1#note_11"),
        "whole": (True, True, "ada", 3, "https://gitlab.test/1#note_21"),
        "chat": (False, None, None, 1, "https://gitlab.test/1#note_31"),
    }


@pytest.mark.parametrize(
    ("diff", "added", "removed"),
    [
        ("@@ -1,2 +1,3 @@\n same\n-old\n+new\n+newer\n", 2, 1),
        ("--- a/README\n+++ b/README\n@@ -1 +1 @@\n--- title\n+++ title\n", 1, 1),
        ("@@ -0,0 +1 @@\n+one", 1, 0),
        ("", None, None),
    ],
)
def test_a_diff_counts_its_lines(ledger: AnyLedger, diff: str, added: int | None, removed: int | None) -> None:
    records = parse_dependent(Dependent.DIFFS, [{"new_path": "a", "diff": diff}])
    bring(ledger, merge_request_of(1), DependentSet(merge_request(1), Dependent.DIFFS, at(0), records))
    (row,) = rows_of(ledger, "diffs")
    assert (row["lines_added"], row["lines_removed"]) == (added, removed)


def test_a_link_to_a_confidential_issue_is_confidential(ledger: AnyLedger) -> None:
    other = {"id": 9, "iid": 9, "project_id": 8, "title": "Secret", "confidential": True, "issue_link_id": 3}
    records = parse_dependent(Dependent.LINKS, [other, {**other, "confidential": False, "issue_link_id": 4}])
    bring(ledger, issue_of(1), DependentSet(issue(1), Dependent.LINKS, at(0), records))
    found = {row["issue_link_id"]: row["confidential"] for row in rows_of(ledger, "links")}
    assert found == {3: True, 4: False}


def test_the_views_are_made_anew_when_a_ledger_of_an_older_version_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    first = [one for one in sql.migrations() if one.version <= sql.VIEWS_SINCE]
    with DuckDBLedger(path, migrations=first).write("make") as tx:
        run_sql(tx, "CREATE OR REPLACE VIEW gitlab.issues AS SELECT 1 AS of_an_older_version")
    bring(DuckDBLedger(path), issue_of(1))
    assert [row["iid"] for row in rows_of(DuckDBLedger(path), "issues")] == [1]


@pytest.mark.parametrize("backend", ["duckdb"])
def test_the_views_work_in_a_compacted_file_and_under_any_name(ledger: DuckDBLedger) -> None:
    bring(ledger, issue_of(1))
    compact(ledger)
    assert len(rows_of(ledger, "issues")) == 1
    with duckdb.connect() as shell:
        shell.execute(f"ATTACH '{ledger.path}' AS other (READ_ONLY)")
        assert shell.execute("SELECT iid FROM other.gitlab.issues").fetchall() == [(1,)]
        assert shell.execute("SELECT COUNT(*) FROM other.gitlab.label_spans").fetchall() == [(0,)]
