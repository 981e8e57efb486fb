"""The schema as readers know it: what each view shows, what no row may say, and what the manual tells of it."""

import re
from pathlib import Path

import pytest

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.integration.ledger.examples import (
    columns_of,
    entity,
    issue,
    linked,
    merge_request,
    read_sql,
    run_sql,
)

MANUAL = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text(encoding="utf-8")
FIRST_CELL = re.compile(r"^\|([^|]+)\|", flags=re.MULTILINE)
BOTH_KINDS = "project_id iid gitlab_id title state updated_at confidential"
MARKS = "deleted_at missed_at missed_run_id run_id fetched_at payload"
LINKED = "project_id iid record_id position run_id fetched_at payload"
VIEWS = {
    "issues": f"{BOTH_KINDS} moved_to_id {MARKS}",
    "merge_requests": f"{BOTH_KINDS} sha target_branch target_project_id {MARKS}",
    "issue_links": LINKED,
    "issue_closed_by": LINKED,
    "merge_request_commits": LINKED,
    "merge_request_diffs": LINKED,
    "merge_request_closes_issues": LINKED,
    "merge_request_approvals": LINKED,
    "award_emoji": "project_id noteable_type noteable_iid record_id position run_id fetched_at payload",
}


def test_each_view_shows_its_own_rows_in_columns_that_stay(ledger: Ledger) -> None:
    keys = {EntityType.ISSUE: issue(1), EntityType.MERGE_REQUEST: merge_request(1)}
    sets = [
        linked(keys[kind], dependent, [f"{dependent} of {kind}"])
        for dependent in set(Dependent) - EVENT_DEPENDENTS - {Dependent.DISCUSSIONS}
        for kind in dependent.applies_to
    ]
    with ledger.write("fill") as tx:
        upsert_entities(tx, "run-1", [entity(key, title=f"The {kind}") for kind, key in keys.items()])
        replace_dependents(tx, "run-1", 7, sets)
        shown = {}
        for view, columns in VIEWS.items():
            assert columns_of(tx, view) == columns.split()
            telling = columns.split().index("title" if "title" in columns else "record_id")
            shown[view] = {row[telling] for row in read_sql(tx, f"SELECT * FROM {view}")}
    assert shown == {
        "issues": {"The issue"},
        "merge_requests": {"The merge_request"},
        "issue_links": {"links of issue"},
        "issue_closed_by": {"closed_by of issue"},
        "merge_request_commits": {"commits of merge_request"},
        "merge_request_diffs": {"diffs of merge_request"},
        "merge_request_closes_issues": {"closes_issues of merge_request"},
        "merge_request_approvals": {"approvals of merge_request"},
        "award_emoji": {"award_emoji of issue", "award_emoji of merge_request"},
    }


@pytest.mark.parametrize(
    "impossible",
    [
        "sha = 'c0ffee' WHERE entity_type = 'issue'",
        "target_branch = 'main' WHERE entity_type = 'issue'",
        "target_project_id = 7 WHERE entity_type = 'issue'",
        "moved_to_id = 42 WHERE entity_type = 'merge_request'",
        "entity_type = 'epic'",
        "missed_at = now()",
        "missed_run_id = 'run-2'",
        "deleted_at = now()",
    ],
)
def test_an_entity_that_cannot_be_is_refused(ledger: Ledger, impossible: str) -> None:
    with pytest.raises(Exception, match=r"(?i)check constraint"), ledger.write("tamper") as tx:
        upsert_entities(tx, "run-1", [entity(issue(1)), entity(merge_request(1))])
        run_sql(tx, f"UPDATE entities SET {impossible}")


@pytest.mark.parametrize("backend", ["duckdb"])
def test_the_manual_tells_every_table_with_every_column_and_every_view(ledger: Ledger) -> None:
    headed = re.split(r"^### (.+)\n", MANUAL, flags=re.MULTILINE)[1:]
    told = {
        name: set(re.findall(r"`(\w+)`", " ".join(FIRST_CELL.findall(text))))
        for heading, text in zip(headed[::2], headed[1::2], strict=True)
        for name in heading.split(", ")
    }
    with ledger.read() as tx:
        columns = read_sql(
            tx,
            "SELECT table_name, column_name FROM duckdb_tables() "
            "JOIN duckdb_columns() USING (table_name, schema_name)",
        )
    assert told.keys() == {table for table, _ in columns} | VIEWS.keys() | {"daily_failures"}
    assert [(table, column) for table, column in columns if column not in told[table]] == []
