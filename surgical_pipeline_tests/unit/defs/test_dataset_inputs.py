"""What an input of somebody's asset asks for, by its asset's key and its metadata."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.defs.dataset_inputs import ASSET_TABLES, Asked, Partitions, asked_of, tables_of
from surgical_pipeline.defs.publishing import published
from surgical_pipeline.defs.sync.asset import ASSETS

MAY = datetime(2026, 5, 1, tzinfo=UTC)


def asked(key: str, partitions: Partitions | None = None, **metadata: Any) -> Asked:
    return asked_of(key.split("/"), metadata, columns_of=lambda name: TABLES[name].columns, partitions=partitions)


def test_each_asset_that_holds_data_has_its_tables_and_each_table_exists() -> None:
    assert {tuple(key.path) for key in (*ASSETS, published.key)} == set(ASSET_TABLES)
    assert {name for tables in ASSET_TABLES.values() for name in tables} <= set(TABLES)


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("gitlab/issues", "issues"),
        ("acme/gitlab/merge_requests", "merge_requests"),
        ("acme/team/documents", "documents"),
    ],
)
def test_an_asset_is_known_by_the_end_of_its_key(key: str, table: str) -> None:
    assert asked(key) == Asked(table, None, {})


@pytest.mark.parametrize("key", ["issues", "github/issues", "gitlab", "documents/gitlab"])
def test_an_unknown_key_is_answered_with_the_known_ones(key: str) -> None:
    with pytest.raises(DatasetError, match=f"{key} is no asset of GitLab's data. There are gitlab/issues, gi"):
        tables_of(key.split("/"))


def test_metadata_names_table_columns_and_filters() -> None:
    assert asked(
        "gitlab/discussions", table="notes", columns=["id", "body"], project="acme/rocket", labels=["bug"]
    ) == Asked("notes", ("id", "body"), {"project": "acme/rocket", "labels": ["bug"]})
    assert asked("gitlab/issues", None, **{"dagster/uri": "x"}) == Asked("issues", None, {})


@pytest.mark.parametrize(
    ("key", "metadata", "said"),
    [
        (
            "gitlab/resource_events",
            {},
            "several tables: .* names one of label_events, state_events, mil",
        ),
        ("published", {}, "names a table of docs/data.md"),
        ("published", {"table": 5}, "names a table of docs/data.md"),
        ("gitlab/issues", {"columns": "iid"}, r'give a list, such as \["iid"\]'),
        ("gitlab/issues", {"partition_by": "project"}, "for assets with partitions of one dimension"),
    ],
)
def test_metadata_that_cannot_be_is_refused_in_a_sentence(key: str, metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        asked(key, None, **metadata)


def test_partitions_filter_the_column_that_they_are_of() -> None:
    projects = Partitions(("acme/rocket", "acme/engine"))
    assert asked("gitlab/issues", projects, partition_by="project").filters == {
        "project": ["acme/rocket", "acme/engine"]
    }
    day = Partitions(("2026-05-01",), (MAY, MAY + timedelta(days=1)))
    assert asked("gitlab/issues", day, partition_by="updated_at").filters == {
        "updated_after": MAY,
        "updated_before": MAY + timedelta(days=1) - timedelta(microseconds=1),
    }
    assert asked("gitlab/issues", day).filters == {}, "only where it is asked for"
    with pytest.raises(
        DatasetError, match=r"issues\.updated_at holds times, and acme/rocket, acme/engine is none"
    ):
        asked("gitlab/issues", projects, partition_by="updated_at")
