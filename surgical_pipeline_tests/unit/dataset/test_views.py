"""The files that are made from the tables' columns are the ones of the code."""

import re

import pytest

from surgical_pipeline.dataset.columns import ColumnType
from surgical_pipeline.dataset.dialects.dialect import Dialect
from surgical_pipeline.dataset.schema import TABLES, views
from surgical_pipeline.dataset.views import DIALECTS, views_sql
from surgical_pipeline.ledger import sql
from surgical_pipeline_tests.published_views import MANUAL, announced, fingerprint, manual

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@each_dialect
def test_the_views_that_a_ledger_makes_are_those_of_the_tables(dialect: Dialect) -> None:
    assert sql.views(dialect.name) == views_sql(dialect), "run `make views`"


@each_dialect
def test_a_change_of_the_views_comes_with_a_migration(dialect: Dialect) -> None:
    """Without one, ledgers of the same version would keep the views that they have."""
    assert announced(dialect.name) == fingerprint(dialect.name), (
        "run `make views`: it says what the migration needs"
    )


def test_the_manual_tells_every_column() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    assert text == manual(text), "run `make views`"


@each_dialect
def test_every_placeholder_is_filled_in(dialect: Dialect) -> None:
    assert "@" not in sql.views(dialect.name)
    assert "{diff" not in sql.views(dialect.name)


@each_dialect
def test_a_view_refers_only_to_views_whose_names_come_before_its_own(dialect: Dialect) -> None:
    """`IMPORT DATABASE` makes views in the order of their names."""
    made = re.split(r"CREATE VIEW gitlab\.(\w+) AS", sql.views(dialect.name))
    for name, text in zip(made[1::2], made[2::2], strict=True):
        assert [
            other for other in re.findall(r"FROM gitlab\.(\w+)|JOIN gitlab\.(\w+)", text) if max(other) >= name
        ] == []


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_each_column_once_and_tells_its_meaning(name: str) -> None:
    names = [column.name for column in TABLES[name].columns]
    assert len(names) == len(set(names))
    assert "web_url" in names
    assert all(column.meaning for column in TABLES[name].columns)


def test_what_not_everybody_may_see_can_be_told_from_the_row_itself() -> None:
    open_to_all = {name for name, table in TABLES.items() if not table.hidden}
    assert open_to_all == {
        "merge_requests",
        "reviewers",
        "commits",
        "diffs",
        "approvals",
        "merge_request_times",
        "runs",
    }
    for table in TABLES.values():
        names = {column.name for column in table.columns if column.type is ColumnType.BOOLEAN}
        assert names >= set(table.hidden.replace("OR", "").split())


def test_tables_whose_rows_can_be_deleted_have_a_view_of_all_rows() -> None:
    names = views()
    assert [name for name, table in TABLES.items() if table.deletable != (f"all_{name}" in names)] == []
    assert names["all_issues"][-1].name == "deleted_at"
