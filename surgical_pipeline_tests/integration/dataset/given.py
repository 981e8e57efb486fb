"""Ledgers with a few records, told by the fields of GitLab's that matter, and what the views say of them."""

import json
from typing import Any

from surgical_pipeline.dataset.schema import SCHEMA, views
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DependentSet, EntityRecord, ResourceEventRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline_tests.integration.dataset.samples import entity_sample
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, AnyLedger, at, read_sql


def bring(ledger: AnyLedger, *records: EntityRecord | DependentSet) -> None:
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
        upsert_entities(tx, "run-1", [one for one in records if isinstance(one, EntityRecord)])
        sets = [one for one in records if isinstance(one, DependentSet)]
        done = replace_dependents(tx, "run-1", PROJECT.project_id, sets)
        assert len(done.replaced) == len(sets)


def rows_of(ledger: AnyLedger, view: str) -> list[dict[str, Any]]:
    with ledger.read() as tx:
        names = [column.name for column in views()[view]]
        return [dict(zip(names, row, strict=True)) for row in read_sql(tx, f"SELECT * FROM {SCHEMA}.{view}")]


def stamp(seconds: float) -> str:
    """A moment as GitLab writes it: so many seconds after noon."""
    return at(seconds).isoformat().replace("+00:00", "Z")


def issue_of(iid: int, **fields: Any) -> EntityRecord:
    return _entity_of(EntityType.ISSUE, iid, fields)


def merge_request_of(iid: int, **fields: Any) -> EntityRecord:
    return _entity_of(EntityType.MERGE_REQUEST, iid, fields)


def _entity_of(kind: EntityType, iid: int, fields: dict[str, Any]) -> EntityRecord:
    (record,) = entity_sample(kind, iid, fields).records
    assert isinstance(record, EntityRecord)
    return record


def events_of(
    key: EntityKey, dependent: str, *events: tuple[float, dict[str, Any]], fetched: float = 100
) -> DependentSet:
    """Each with the seconds after noon at which it happened. Their ids grow in the order told."""
    records = tuple(
        ResourceEventRecord(key.iid * 1000 + number, at(when), json.dumps({"created_at": stamp(when), **fields}))
        for number, (when, fields) in enumerate(events)
    )
    return DependentSet(key, Dependent[dependent.upper()], at(fetched), records)
