-- What those need to know who hand the ledger's content on.

-- name: read_standing
-- What changes whenever runs, content, vectors or the ledger's GitLab change; and the run that worked last.
SELECT
    (SELECT MIN(applied_at) FROM schema_migrations) AS made_at,
    (SELECT MAX(version) FROM schema_migrations) AS schema_version,
    (SELECT COUNT(*) FROM sync_runs) AS runs,
    (SELECT MAX(number) FROM sync_runs) AS newest_run,
    (SELECT MAX(GREATEST(heartbeat_at, COALESCE(finished_at, heartbeat_at))) FROM sync_runs) AS last_run_at,
    (SELECT MAX(embedded_at) FROM embeddings) AS embedded_at,
    (SELECT MAX(known_since) FROM ledger_gitlab) AS gitlab_known_since,
    (SELECT MAX(gitlab_url) FROM ledger_gitlab) AS gitlab_url,
    (
        SELECT run_id FROM sync_runs
        ORDER BY GREATEST(heartbeat_at, COALESCE(finished_at, heartbeat_at)) DESC NULLS LAST, number DESC NULLS LAST
        LIMIT 1
    ) AS last_run;

-- name: count_live_entities
-- Issues and merge requests that are not known to be deleted in GitLab.
SELECT
    COUNT(*) FILTER (WHERE entity_type = 'issue') AS issues,
    COUNT(*) FILTER (WHERE entity_type = 'merge_request') AS merge_requests
FROM entities
WHERE deleted_at IS NULL;

-- name: count_rows_of_dependents
-- Discussions and resource events, also of what is deleted in GitLab.
SELECT
    (SELECT COUNT(*) FROM discussions) AS discussions,
    (SELECT COUNT(*) FROM resource_events) AS resource_events;

-- name: count_live_documents
-- Documents that are not deleted.
SELECT COUNT(*) AS documents FROM documents WHERE deleted_at IS NULL;

-- name: count_vectors
-- Vectors of all models.
SELECT COUNT(*) AS embeddings FROM embeddings;

-- name: load_newest_vector
-- The vector that was made last, or no row.
SELECT * FROM embeddings ORDER BY embedded_at DESC LIMIT 1;
