"""What this project makes itself: documents and their vectors, and the story of its runs."""

from surgical_pipeline.dataset.columns import Column, ColumnType, Table, derived, own
from surgical_pipeline.dataset.tables.keys import PROJECT, PROJECT_JOIN, SUPERSEDED_AT, entity_join

_DOCUMENT_GONE = f"COALESCE(record.deleted_at, {SUPERSEDED_AT})"

DOCUMENTS = Table(
    "documents",
    "the text of an issue, a merge request or a discussion, as it is searched",
    (
        own(ColumnType.TEXT, "document_id", "such as `issue:7:12`"),
        own(ColumnType.TEXT, "kind", "`issue`, `merge_request` or `discussion`"),
        *PROJECT,
        own(ColumnType.TEXT, "entity_type", "`issue` or `merge_request`"),
        own(ColumnType.INTEGER, "iid", "number of that in its project"),
        own(ColumnType.TEXT, "discussion_id", "of a discussion"),
        own(ColumnType.TEXT, "title", "its title"),
        own(ColumnType.TEXT, "content", "its text"),
        own(ColumnType.TEXT, "content_hash", "changes with the text and with who may read it"),
        own(ColumnType.TEXT, "state", "of the issue or merge request; of a discussion `resolved` or `unresolved`"),
        own(ColumnType.TEXTS, "labels", "of the issue or merge request; of a discussion none"),
        own(ColumnType.TEXT, "author", "who opened or began it"),
        own(ColumnType.TIME, "created_at", "when"),
        own(ColumnType.TIME, "updated_at", "when it was last changed"),
        own(ColumnType.BOOLEAN, "confidential", "its issue is confidential"),
        own(ColumnType.BOOLEAN, "internal", "it contains a note that guests do not see"),
        own(ColumnType.TEXT, "web_url", "its page"),
        own(ColumnType.TEXT, "run_id", "run that wrote it"),
    ),
    record="main.documents",
    joins=PROJECT_JOIN,
    deleted_at=_DOCUMENT_GONE,
    hidden="confidential OR internal",
)

EMBEDDINGS = Table(
    "embeddings",
    "a vector of a chunk of a document's present text",
    (
        own(ColumnType.TEXT, "document_id", "the document"),
        own(ColumnType.INTEGER, "chunk_index", "the chunk, from 0"),
        own(ColumnType.TEXT, "model", "what made it, such as `wordllama-256`"),
        own(ColumnType.INTEGER, "dimension", "how many numbers it has"),
        own(ColumnType.VECTOR, "vector", "of length 1"),
        own(ColumnType.TIME, "embedded_at", "when it was made"),
        *PROJECT,
        derived("confidential", ColumnType.BOOLEAN, "as its document", sql="record.confidential"),
        derived("internal", ColumnType.BOOLEAN, "as its document", sql="record.internal"),
        derived("web_url", ColumnType.TEXT, "page of its document", sql="record.web_url"),
    ),
    record="""(
    SELECT
        embeddings.*, documents.project_id, documents.confidential, documents.internal, documents.web_url,
        documents.deleted_at
    FROM main.embeddings
    JOIN main.documents
        ON documents.document_id = embeddings.document_id AND documents.content_hash = embeddings.content_hash
)""",
    joins=PROJECT_JOIN,
    deleted_at=_DOCUMENT_GONE,
    hidden="confidential OR internal",
)


def _counters(**meanings: str) -> tuple[Column, ...]:
    return tuple(own(ColumnType.INTEGER, name, meaning) for name, meaning in meanings.items())


_RUN_PROJECT = (
    derived(
        "project",
        ColumnType.TEXT,
        "path of its project, now or when it was asked for",
        sql="COALESCE(project.path, record.project_path)",
    ),
    PROJECT[1],
)

RUNS = Table(
    "runs",
    "a run of a sync",
    (
        own(ColumnType.TEXT, "run_id", "Dagster's id of the run"),
        own(ColumnType.INTEGER, "number", "order in which the ledger first saw it"),
        own(ColumnType.TEXT, "parent_run_id", "the run that it re-executes"),
        own(ColumnType.TEXT, "mode", "`surgical`, `incremental` or `backfill`"),
        own(ColumnType.TEXT, "trigger", "`launchpad`, `sensor`, `backfill` or `cli`"),
        own(
            ColumnType.TEXT,
            "status",
            "`queued`, `running`, `succeeded`, `succeeded_with_warnings`, `failed` or `cancelled`",
        ),
        own(ColumnType.TEXT, "phase", "how far it came"),
        *_RUN_PROJECT,
        own(ColumnType.TEXT, "scope", "what it was asked for"),
        own(ColumnType.TIME, "queued_at", "when Dagster made it"),
        own(ColumnType.TIME, "started_at", "when it began"),
        own(ColumnType.TIME, "finished_at", "when it ended"),
        own(ColumnType.TIME, "cancelled_at", "when it was cancelled"),
        *_counters(
            warnings_count="warnings",
            requested="entities asked for",
            fetched="entities that GitLab returned",
            ingested="entities written",
            stale_skipped="entities of which the ledger had a fresher row",
            tombstoned="entities marked deleted",
            failed="entities that failed",
            dependents_replaced="dependents written",
            dependent_failures="dependents that failed",
            documents_regenerated="documents whose text changed",
            documents_unchanged="documents left as they were",
            documents_embedded="documents that got their vectors",
            lock_windows="windows on the ledger",
            http_requests="requests to GitLab",
            http_retries="requests made again",
        ),
        own(ColumnType.NUMBER, "lock_wait_ms", "waited for the ledger, in milliseconds"),
        own(ColumnType.NUMBER, "lock_held_ms", "held the ledger, in milliseconds"),
        own(ColumnType.TEXT, "failure_code", "why it failed or was cancelled"),
        own(ColumnType.TEXT, "failure_message", "the same in words"),
        derived("web_url", ColumnType.TEXT, "page of its project", sql="project.payload ->> 'web_url'"),
    ),
    record="main.sync_runs",
    joins=PROJECT_JOIN,
)

_OF_REQUEST = (
    own(ColumnType.TEXT, "run_id", "the run"),
    *_RUN_PROJECT,
    own(ColumnType.TEXT, "entity_type", "`issue` or `merge_request`"),
    own(ColumnType.INTEGER, "iid", "number in its project"),
)
_KNOWN_ENTITY = (
    derived(
        "confidential",
        ColumnType.BOOLEAN,
        "the issue is confidential; false where the ledger has no such issue",
        sql="COALESCE(entity.confidential, FALSE)",
    ),
    derived("web_url", ColumnType.TEXT, "page of the issue or merge request", sql="entity.web_url"),
)
_ENTITY_IF_KNOWN = entity_join("record.entity_type", "record.iid", outer=True)

OUTCOMES = Table(
    "outcomes",
    "an issue or merge request that a run was asked for",
    (
        *_OF_REQUEST,
        *(
            own(ColumnType.BOOLEAN, name, meaning)
            for name, meaning in {
                "fetched": "GitLab returned it",
                "ingested": "its row was written",
                "stale_skipped": "the ledger had a fresher row",
                "tombstoned": "it was marked deleted",
                "unchanged": "it was as the ledger had it",
                "settled": "fetched late enough after its last change; NULL: not known",
            }.items()
        ),
        own(ColumnType.TEXT, "failure_code", "why it failed; NULL: it did not"),
        own(ColumnType.TEXT, "failure_message", "the same in words"),
        own(ColumnType.TEXT, "failure_stage", "where it failed"),
        derived("warnings", ColumnType.TEXTS, "what else is to be said", sql="@messages(record.warnings)@"),
        own(ColumnType.TEXTS, "regenerated_document_ids", "documents whose text changed"),
        own(ColumnType.TEXTS, "embedded_document_ids", "those of them that have their vectors"),
        *_KNOWN_ENTITY,
    ),
    record="""(
    SELECT entity_outcomes.*, sync_runs.project_id, sync_runs.project_path
    FROM main.entity_outcomes
    JOIN main.sync_runs ON sync_runs.run_id = entity_outcomes.run_id
)""",
    joins=_ENTITY_IF_KNOWN,
    hidden="confidential",
)

FAILURES = Table(
    "failures",
    "a failure of an issue or merge request, or of one of its dependents, in a run",
    (
        *_OF_REQUEST,
        own(ColumnType.INTEGER, "position", "0: its own failure; 1, 2, …: failures of dependents"),
        own(ColumnType.TEXT, "stage", "where it happened"),
        own(ColumnType.TEXT, "dependent", "which dependent; in stage `embed`, the document"),
        own(ColumnType.TEXT, "code", "what failed"),
        own(ColumnType.TEXT, "message", "the same in words"),
        own(ColumnType.BOOLEAN, "retryable", "the same request may succeed later"),
        *_KNOWN_ENTITY,
    ),
    record="main.entity_failures",
    joins=_ENTITY_IF_KNOWN,
    hidden="confidential",
)

OURS = (DOCUMENTS, EMBEDDINGS, RUNS, OUTCOMES, FAILURES)
