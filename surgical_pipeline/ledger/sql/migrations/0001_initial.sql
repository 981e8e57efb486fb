-- The ledger's tables, each with its meaning; what only searches need is in 0002_search.sql. No foreign keys: DuckDB
-- refuses updates of the row they point to. CHECK instead of ENUM: an ENUM cannot grow. All times are in UTC.

CREATE TABLE schema_migrations (
    version    INTEGER     PRIMARY KEY,
    name       VARCHAR     NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL
);

-- One row for each run, written by SyncRunRecorder alone (dagster_status: by the mirror).
--
-- status                    what it means, and how a run gets there
--   queued                  Dagster has accepted the run, its process has not started   (queue_run)
--   running                 its process works; heartbeat_at moves                        queued, or new -> start_surgical
--   succeeded               everything asked for is up to date                           running -> finish_succeeded
--   succeeded_with_warnings some of it is not; see entity_failures                       running -> finish_succeeded_with_warnings
--   failed                  nothing usable, or the run broke; see failure_*              queued, running -> finish_failed
--   cancelled               somebody stopped it                                          queued, running -> finish_cancelled
-- The last four are final: every UPDATE names the status it comes from.
--
-- phase: queued, then the five stages in order, then done; a cancelled run is in phase cancelled,
-- a failed one keeps the phase it failed in.
--
-- host, pid, process: what works on it. process is boot, pid namespace and start time (ledger/process.py), so that a
-- reused pid cannot pass for it. NULL: not known, and only the heartbeat shows whether it lives.
--
-- dagster_instance: whose run it is. Other instances may use this ledger, too: they need not know the run.
CREATE TABLE sync_runs (
    run_id                 VARCHAR     PRIMARY KEY,
    parent_run_id          VARCHAR,
    mode                   VARCHAR     NOT NULL CHECK (mode IN ('surgical', 'incremental', 'backfill')),
    trigger                VARCHAR     NOT NULL CHECK (trigger IN ('launchpad', 'sensor', 'backfill', 'cli')),
    status                 VARCHAR     NOT NULL CHECK (status IN (
        'queued', 'running', 'succeeded', 'succeeded_with_warnings', 'failed', 'cancelled')),
    phase                  VARCHAR     NOT NULL CHECK (phase IN (
        'queued', 'preflight', 'ingest', 'dependents', 'docs', 'embed', 'done', 'cancelled')),
    dagster_instance       VARCHAR,
    dagster_status         VARCHAR,
    scope                  VARCHAR     NOT NULL,
    project_id             BIGINT,
    project_path           VARCHAR,
    queued_at              TIMESTAMPTZ,
    started_at             TIMESTAMPTZ,
    heartbeat_at           TIMESTAMPTZ,
    finished_at            TIMESTAMPTZ,
    cancelled_at           TIMESTAMPTZ,
    warnings_count         INTEGER     NOT NULL DEFAULT 0,
    requested              INTEGER     NOT NULL DEFAULT 0,
    fetched                INTEGER     NOT NULL DEFAULT 0,
    ingested               INTEGER     NOT NULL DEFAULT 0,
    stale_skipped          INTEGER     NOT NULL DEFAULT 0,
    tombstoned             INTEGER     NOT NULL DEFAULT 0,
    failed                 INTEGER     NOT NULL DEFAULT 0,
    dependents_replaced    INTEGER     NOT NULL DEFAULT 0,
    dependents_stale_skipped INTEGER   NOT NULL DEFAULT 0,
    dependent_failures     INTEGER     NOT NULL DEFAULT 0,
    documents_regenerated  INTEGER     NOT NULL DEFAULT 0,
    documents_unchanged    INTEGER     NOT NULL DEFAULT 0,
    documents_errored      INTEGER     NOT NULL DEFAULT 0,
    documents_embedded     INTEGER     NOT NULL DEFAULT 0,
    documents_reused       INTEGER     NOT NULL DEFAULT 0,
    documents_superseded   INTEGER     NOT NULL DEFAULT 0,
    documents_embed_failed INTEGER     NOT NULL DEFAULT 0,
    lock_windows           INTEGER     NOT NULL DEFAULT 0,
    lock_wait_ms           DOUBLE PRECISION NOT NULL DEFAULT 0,
    lock_held_ms           DOUBLE PRECISION NOT NULL DEFAULT 0,
    longest_lock_held_ms   DOUBLE PRECISION NOT NULL DEFAULT 0,
    http_requests          INTEGER     NOT NULL DEFAULT 0,
    http_retries           INTEGER     NOT NULL DEFAULT 0,
    http_rate_limited      INTEGER     NOT NULL DEFAULT 0,
    failure_code           VARCHAR,
    failure_message        VARCHAR,
    host                   VARCHAR,
    pid                    INTEGER,
    process                VARCHAR,
    CHECK ((status IN ('queued', 'running')) = (finished_at IS NULL)),
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
    CHECK ((status = 'cancelled') = (phase = 'cancelled')),
    CHECK ((status IN ('succeeded', 'succeeded_with_warnings')) = (phase = 'done')),
    CHECK ((status IN ('failed', 'cancelled')) = (failure_code IS NOT NULL)),
    CHECK (status <> 'queued' OR phase = 'queued'),
    CHECK (status <> 'running' OR (phase <> 'queued' AND started_at IS NOT NULL AND heartbeat_at IS NOT NULL))
);
CREATE INDEX idx_sync_runs_mode_started ON sync_runs (mode, started_at DESC);
CREATE INDEX idx_sync_runs_status_phase_started ON sync_runs (status, phase, started_at DESC);

-- The stages a run went through. finished_at is NULL for the one it is in; the run's end closes it.
CREATE TABLE sync_run_phases (
    run_id        VARCHAR     NOT NULL,
    phase         VARCHAR     NOT NULL CHECK (phase IN ('preflight', 'ingest', 'dependents', 'docs', 'embed')),
    started_at    TIMESTAMPTZ NOT NULL,
    finished_at   TIMESTAMPTZ,
    lock_windows  INTEGER     NOT NULL DEFAULT 0,
    lock_wait_ms  DOUBLE PRECISION NOT NULL DEFAULT 0,
    lock_held_ms  DOUBLE PRECISION NOT NULL DEFAULT 0,
    http_requests INTEGER     NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, phase)
);

-- Exactly one row for each entity a run was asked for, from its first moment.
--
-- state           what it means, and how an outcome gets there (all but the first through update_outcomes)
--   pending       all false, failure_* NULL                                       new -> insert_pending_outcomes
--   ingested      fetched, and its row was written                                pending, by ingest
--   stale_skipped fetched, and the ledger had a fresher one                       pending, by ingest
--   failed        failure_* set: by the stage failure_stage, or by the run's end  any but failed
--                 where the run did not complete; tombstoned: of NOT_FOUND, the second miss in a row
--
-- dependents_stale_skipped: dependents that were fetched but not written, because another run had fetched them later.
-- warnings: a list of {stage, message}.
CREATE TABLE entity_outcomes (
    run_id                   VARCHAR   NOT NULL,
    entity_type              VARCHAR   NOT NULL CHECK (entity_type IN ('issue', 'merge_request')),
    iid                      BIGINT    NOT NULL,
    fetched                  BOOLEAN   NOT NULL DEFAULT FALSE,
    ingested                 BOOLEAN   NOT NULL DEFAULT FALSE,
    stale_skipped            BOOLEAN   NOT NULL DEFAULT FALSE,
    tombstoned               BOOLEAN   NOT NULL DEFAULT FALSE,
    settled                  BOOLEAN,
    moved_to_id              BIGINT,
    failure_code             VARCHAR,
    failure_message          VARCHAR,
    failure_stage            VARCHAR,
    failure_dependent        VARCHAR,
    dependents_stale_skipped VARCHAR[] NOT NULL,
    warnings                 JSON      NOT NULL DEFAULT '[]',
    regenerated_document_ids VARCHAR[] NOT NULL,
    embedded_document_ids    VARCHAR[] NOT NULL,
    PRIMARY KEY (run_id, entity_type, iid),
    CHECK ((failure_code IS NULL) = (failure_message IS NULL)),
    CHECK ((failure_code IS NULL) = (failure_stage IS NULL))
);

-- Every failure of every entity of a run. position 0 is the entity's own failure (also in entity_outcomes),
-- 1, 2, … are those of its dependents.
CREATE TABLE entity_failures (
    run_id       VARCHAR NOT NULL,
    project_id   BIGINT,
    project_path VARCHAR NOT NULL,
    entity_type  VARCHAR NOT NULL CHECK (entity_type IN ('issue', 'merge_request')),
    iid          BIGINT  NOT NULL,
    position     INTEGER NOT NULL,
    stage        VARCHAR NOT NULL,
    dependent    VARCHAR,
    code         VARCHAR NOT NULL,
    message      VARCHAR NOT NULL,
    retryable    BOOLEAN NOT NULL,
    PRIMARY KEY (run_id, entity_type, iid, position)
);

-- The inbox of GitLab's webhook events. processed_at is NULL until a sensor has used the event in a run.
CREATE TABLE gitlab_events (
    event_key    VARCHAR     PRIMARY KEY,
    kind         VARCHAR     NOT NULL,
    project_id   BIGINT,
    project_path VARCHAR,
    entity_type  VARCHAR     CHECK (entity_type IN ('issue', 'merge_request')),
    iid          BIGINT,
    received_at  TIMESTAMPTZ NOT NULL,
    payload      JSON        NOT NULL,
    processed_at TIMESTAMPTZ,
    run_id       VARCHAR
);

-- Which GitLab the ledger belongs to: one row, from the first project that reports it. run_id is NULL if a person
-- set it last, by `ledger rebase`.
CREATE TABLE ledger_gitlab (
    only_row    BOOLEAN     PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    gitlab_url  VARCHAR     NOT NULL,
    known_since TIMESTAMPTZ NOT NULL,
    run_id      VARCHAR
);

-- created_at: when GitLab created it, NULL if not known. superseded_by: the project that has its path now, if it was
-- deleted and created again; the ledger keeps the older project's rows, and readers leave them out.
CREATE TABLE projects (
    project_id    BIGINT      PRIMARY KEY,
    path          VARCHAR     NOT NULL,
    created_at    TIMESTAMPTZ,
    superseded_by BIGINT,
    run_id        VARCHAR     NOT NULL,
    fetched_at    TIMESTAMPTZ NOT NULL,
    payload       JSON        NOT NULL,
    CHECK (superseded_by <> project_id)
);

-- Issues and merge requests. missed_at and deleted_at say which state one is in:
--
-- state        what it means, and how an entity gets there
--   live       both NULL; a fetch that began after a miss leads here              new, missed, tombstoned
--                                                                                   -> upsert_entities, clear_misses
--   missed     GitLab answered without it once, in the run missed_run_id          live -> mark_missed
--   tombstoned deleted_at set: a later run missed it again; its documents too     missed -> tombstone_entities
--
-- Issues alone have moved_to_id; merge requests alone have sha, target_branch and target_project_id. replaced_*: the
-- row's values before it was last written; NULL: none.
CREATE TABLE entities (
    project_id        BIGINT      NOT NULL,
    entity_type       VARCHAR     NOT NULL CHECK (entity_type IN ('issue', 'merge_request')),
    iid               BIGINT      NOT NULL,
    gitlab_id         BIGINT      NOT NULL,
    title             VARCHAR     NOT NULL,
    state             VARCHAR     NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    confidential      BOOLEAN     NOT NULL,
    moved_to_id       BIGINT,
    sha               VARCHAR,
    target_branch     VARCHAR,
    target_project_id BIGINT,
    deleted_at        TIMESTAMPTZ,
    missed_at         TIMESTAMPTZ,
    missed_run_id     VARCHAR,
    run_id            VARCHAR     NOT NULL,
    fetched_at        TIMESTAMPTZ NOT NULL,
    replaced_fetched_at TIMESTAMPTZ,
    replaced_updated_at TIMESTAMPTZ,
    payload           JSON        NOT NULL,
    PRIMARY KEY (project_id, entity_type, iid),
    CHECK (entity_type = 'issue' OR moved_to_id IS NULL),
    CHECK (entity_type = 'merge_request' OR (sha IS NULL AND target_branch IS NULL AND target_project_id IS NULL)),
    CHECK ((missed_at IS NULL) = (missed_run_id IS NULL)),
    CHECK (deleted_at IS NULL OR missed_at IS NOT NULL)
);

CREATE VIEW issues AS
SELECT
    project_id, iid, gitlab_id, title, state, updated_at, confidential, moved_to_id,
    deleted_at, missed_at, missed_run_id, run_id, fetched_at, payload
FROM entities
WHERE entity_type = 'issue';

CREATE VIEW merge_requests AS
SELECT
    project_id, iid, gitlab_id, title, state, updated_at, confidential, sha, target_branch, target_project_id,
    deleted_at, missed_at, missed_run_id, run_id, fetched_at, payload
FROM entities
WHERE entity_type = 'merge_request';

-- When each dependent of each entity was last fetched whole: the guard of its replacement. row_count: how many rows
-- that fetch wrote, all of them still there; of discussions, discussions and notes together. replaced_fetched_at: when
-- the fetch before it began.
CREATE TABLE dependent_fetches (
    project_id     BIGINT      NOT NULL,
    entity_type    VARCHAR     NOT NULL CHECK (entity_type IN ('issue', 'merge_request')),
    iid            BIGINT      NOT NULL,
    dependent      VARCHAR     NOT NULL,
    fetched_at     TIMESTAMPTZ NOT NULL,
    replaced_fetched_at TIMESTAMPTZ,
    row_count      BIGINT      NOT NULL,
    source_version VARCHAR,
    run_id         VARCHAR     NOT NULL,
    PRIMARY KEY (project_id, entity_type, iid, dependent)
);

-- A discussion id is known only within its issue or merge request.
CREATE TABLE discussions (
    project_id      BIGINT      NOT NULL,
    noteable_type   VARCHAR     NOT NULL CHECK (noteable_type IN ('issue', 'merge_request')),
    noteable_iid    BIGINT      NOT NULL,
    discussion_id   VARCHAR     NOT NULL,
    position        INTEGER     NOT NULL,
    individual_note BOOLEAN     NOT NULL,
    run_id          VARCHAR     NOT NULL,
    fetched_at      TIMESTAMPTZ NOT NULL,
    payload         JSON        NOT NULL,
    PRIMARY KEY (project_id, noteable_type, noteable_iid, discussion_id)
);

-- GitLab numbers the notes of all projects together, and copies a note rather than move it to another entity.
CREATE TABLE notes (
    note_id       BIGINT      PRIMARY KEY,
    project_id    BIGINT      NOT NULL,
    noteable_type VARCHAR     NOT NULL CHECK (noteable_type IN ('issue', 'merge_request')),
    noteable_iid  BIGINT      NOT NULL,
    discussion_id VARCHAR     NOT NULL,
    position      INTEGER     NOT NULL,
    author        VARCHAR,
    system        BOOLEAN     NOT NULL,
    internal      BOOLEAN     NOT NULL,
    created_at    TIMESTAMPTZ,
    updated_at    TIMESTAMPTZ,
    run_id        VARCHAR     NOT NULL,
    fetched_at    TIMESTAMPTZ NOT NULL,
    payload       JSON        NOT NULL
);

-- Each kind of event (label_events, state_events, milestone_events) has ids of its own.
CREATE TABLE resource_events (
    event_type    VARCHAR     NOT NULL,
    event_id      BIGINT      NOT NULL,
    project_id    BIGINT      NOT NULL,
    noteable_type VARCHAR     NOT NULL CHECK (noteable_type IN ('issue', 'merge_request')),
    noteable_iid  BIGINT      NOT NULL,
    created_at    TIMESTAMPTZ,
    run_id        VARCHAR     NOT NULL,
    fetched_at    TIMESTAMPTZ NOT NULL,
    payload       JSON        NOT NULL,
    PRIMARY KEY (event_type, event_id)
);

-- All further dependents: links, closed_by, commits, diffs, closes_issues, approvals, award_emoji. record_id is unique
-- within its entity and dependent; of approvals it is always 'approvals', the one row. Emoji are those on the issue or
-- merge request itself, not on its notes.
CREATE TABLE linked_records (
    project_id  BIGINT      NOT NULL,
    entity_type VARCHAR     NOT NULL CHECK (entity_type IN ('issue', 'merge_request')),
    iid         BIGINT      NOT NULL,
    dependent   VARCHAR     NOT NULL,
    position    INTEGER     NOT NULL,
    record_id   VARCHAR     NOT NULL,
    run_id      VARCHAR     NOT NULL,
    fetched_at  TIMESTAMPTZ NOT NULL,
    payload     JSON        NOT NULL,
    PRIMARY KEY (project_id, entity_type, iid, dependent, record_id)
);

-- One view for each of these dependents, for people and programs that only read.
CREATE VIEW issue_links AS
SELECT project_id, iid, record_id, position, run_id, fetched_at, payload
FROM linked_records WHERE dependent = 'links';

CREATE VIEW issue_closed_by AS
SELECT project_id, iid, record_id, position, run_id, fetched_at, payload
FROM linked_records WHERE dependent = 'closed_by';

CREATE VIEW merge_request_commits AS
SELECT project_id, iid, record_id, position, run_id, fetched_at, payload
FROM linked_records WHERE dependent = 'commits';

CREATE VIEW merge_request_diffs AS
SELECT project_id, iid, record_id, position, run_id, fetched_at, payload
FROM linked_records WHERE dependent = 'diffs';

CREATE VIEW merge_request_closes_issues AS
SELECT project_id, iid, record_id, position, run_id, fetched_at, payload
FROM linked_records WHERE dependent = 'closes_issues';

CREATE VIEW merge_request_approvals AS
SELECT project_id, iid, record_id, position, run_id, fetched_at, payload
FROM linked_records WHERE dependent = 'approvals';

CREATE VIEW award_emoji AS
SELECT
    project_id, entity_type AS noteable_type, iid AS noteable_iid, record_id, position, run_id, fetched_at, payload
FROM linked_records WHERE dependent = 'award_emoji';

-- How many rows each dependent of each entity has.
CREATE VIEW dependent_row_counts AS
SELECT project_id, entity_type, iid, dependent, COUNT(*) AS row_count
FROM (
    SELECT project_id, noteable_type AS entity_type, noteable_iid AS iid, 'discussions' AS dependent FROM discussions
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, 'discussions' FROM notes
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, event_type FROM resource_events
    UNION ALL
    SELECT project_id, entity_type, iid, dependent FROM linked_records
) AS held
GROUP BY project_id, entity_type, iid, dependent;

-- What is searched: one row for each issue, merge request and discussion worth reading.
--
-- state        what it means, and how a document gets there
--   live       deleted_at NULL                                               new, tombstoned -> upsert_documents
--   tombstoned its source no longer makes it                                 live -> tombstone_documents
--              or is itself tombstoned                                       live -> tombstone_documents_of_entities
CREATE TABLE documents (
    document_id   VARCHAR     PRIMARY KEY,
    kind          VARCHAR     NOT NULL,
    project_id    BIGINT      NOT NULL,
    entity_type   VARCHAR     NOT NULL CHECK (entity_type IN ('issue', 'merge_request')),
    iid           BIGINT      NOT NULL,
    discussion_id VARCHAR,
    title         VARCHAR     NOT NULL,
    content       VARCHAR     NOT NULL,
    content_hash  VARCHAR     NOT NULL,
    web_url       VARCHAR,
    state         VARCHAR     NOT NULL,
    labels        VARCHAR[]   NOT NULL,
    author        VARCHAR,
    confidential  BOOLEAN     NOT NULL,
    internal      BOOLEAN     NOT NULL,
    created_at    TIMESTAMPTZ,
    updated_at    TIMESTAMPTZ,
    deleted_at    TIMESTAMPTZ,
    run_id        VARCHAR     NOT NULL
);

-- The vectors of a document, one per chunk. content_hash is that of the text they were made from: if it differs
-- from the document's, they are out of date.
CREATE TABLE embeddings (
    document_id  VARCHAR     NOT NULL,
    chunk_index  INTEGER     NOT NULL,
    model        VARCHAR     NOT NULL,
    content_hash VARCHAR     NOT NULL,
    dimension    INTEGER     NOT NULL CHECK (dimension > 0),
    vector       FLOAT[]     NOT NULL,
    embedded_at  TIMESTAMPTZ NOT NULL,
    run_id       VARCHAR     NOT NULL,
    PRIMARY KEY (document_id, chunk_index, model)
);
