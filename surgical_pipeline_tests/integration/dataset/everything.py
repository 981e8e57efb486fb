"""A ledger with a row in each table: public ones, and confidential and internal ones that say SECRET."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityWarning
from surgical_pipeline.domain.records import DependentSet, NoteRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.records import parse_dependent
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline_tests.integration.dataset.given import (
    bring,
    events_of,
    issue_of,
    merge_request_of,
    stamp,
)
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    PROJECT,
    at,
    discussion,
    discussions,
    document,
    issue,
    merge_request,
    note,
    start,
)

SECRET = "SECRET"
ADA = {"id": 1, "username": "ada", "name": "Ada", "state": "active"}
PUBLIC, CONFIDENTIAL, MERGE_REQUEST = issue(1), issue(2), merge_request(3)


def filled_ledger(path: Path) -> DuckDBLedger:
    ledger = DuckDBLedger(path, lock_timeout_seconds=20)
    bring(ledger, *_entities(), *_of_issue(PUBLIC, "open"), *_of_issue(CONFIDENTIAL, SECRET), *_of_merge_request())
    _documents(ledger)
    _run(ledger)
    return ledger


def _entities() -> list[Any]:
    shared = {"created_at": stamp(0), "updated_at": stamp(5), "author": ADA, "assignees": [ADA]}
    return [
        issue_of(1, title="open", labels=["bug"], web_url="https://gitlab.test/1", **shared),
        issue_of(2, title=SECRET, labels=[SECRET], confidential=True, web_url=f"https://{SECRET}", **shared),
        merge_request_of(3, title="change", reviewers=[ADA], labels=[{"id": 5, "name": "bug"}], **shared),
    ]


def _of_issue(key: EntityKey, word: str) -> list[DependentSet]:
    link = {"id": 9, "iid": 9, "project_id": 8, "title": word, "issue_link_id": 100 + key.iid}
    to_a_secret = {**link, "title": SECRET, "confidential": True, "issue_link_id": 200 + key.iid}
    return [
        discussions(
            key,
            discussion(f"d{key.iid}", _written(10 * key.iid, word)),
            discussion(f"s{key.iid}", replace(_written(10 * key.iid + 1, SECRET), internal=True)),
        ),
        events_of(key, "label_events", (1, {"action": "add", "label": {"id": 5, "name": word}, "user": ADA})),
        events_of(key, "state_events", (2, {"state": "closed", "user": ADA}), (3, {"state": "reopened"})),
        events_of(key, "milestone_events", (4, {"action": "add", "milestone": {"id": 6, "title": word}})),
        DependentSet(key, Dependent.LINKS, at(9), parse_dependent(Dependent.LINKS, [link, to_a_secret])),
        _records(key, Dependent.AWARD_EMOJI, {"id": key.iid, "name": word, "user": ADA}),
    ]


def _of_merge_request() -> list[DependentSet]:
    return [
        _records(MERGE_REQUEST, Dependent.COMMITS, {"id": "c0ffee", "title": "change", "parent_ids": ["b"]}),
        _records(MERGE_REQUEST, Dependent.DIFFS, {"new_path": "a", "diff": "@@ -1 +1 @@\n-a\n+b\n"}),
        _records(MERGE_REQUEST, Dependent.APPROVALS, {"approved": True, "approved_by": [{"user": ADA}]}),
    ]


def _records(key: EntityKey, dependent: Dependent, payload: dict[str, Any]) -> DependentSet:
    return DependentSet(key, dependent, at(9), parse_dependent(dependent, [payload]))


def _written(number: int, text: str) -> NoteRecord:
    return replace(note(number), payload=json.dumps({"id": number, "body": text, "author": ADA}))


def _documents(ledger: DuckDBLedger) -> None:
    made = {
        PUBLIC: (document("open", PUBLIC), document("internal", PUBLIC, content=SECRET, internal=True)),
        CONFIDENTIAL: (document("confidential", CONFIDENTIAL, content=SECRET, confidential=True),),
    }
    with ledger.write("documents") as tx:
        sources = load_sources(tx, PROJECT.project_id, list(made))
        batch = [EntityDocuments(source.key, source.version, made[source.key]) for source in sources]
        assert write_documents(tx, "run-1", PROJECT.project_id, batch) == frozenset()
        every = [one for those in made.values() for one in those]
        vectors = [DocumentVectors(one.document_id, one.content_hash, MODEL, 2, ((0.6, 0.8),)) for one in every]
        write_vectors(tx, "run-1", vectors)


def _run(ledger: DuckDBLedger) -> None:
    run = start(ledger, "run-1", "acme/rocket#1+2!3")
    failure = Failure(code=FailureCode.TIMEOUT, message="late", stage="dependents", dependent="discussions")
    with run.window("outcomes") as tx:
        outcomes = [
            EntityOutcome(
                entity_type=key.entity_type,
                iid=key.iid,
                fetched=True,
                ingested=True,
                dependent_failures=(
                    failure.model_copy(update={"message": SECRET if key == CONFIDENTIAL else "late"}),
                ),
                warnings=(EntityWarning(stage="ingest", message=SECRET if key == CONFIDENTIAL else "odd"),),
            )
            for key in (PUBLIC, CONFIDENTIAL, MERGE_REQUEST)
        ]
        run.save_outcomes(tx, outcomes)
    run.finish_succeeded_with_warnings()


HIDDEN_TABLES = tuple(name for name, table in TABLES.items() if table.hidden)
