-- What the page `report` shows of a period: its runs, what became of their entities, and what the ledger holds.
--
-- A run belongs to the period in which it started or, if it has not started, was queued. A project is known by its
-- number, or by its path as requested where a run ended before GitLab was asked for the number.

-- name: report_runs_by_time
-- Runs, what they did and what they used, by slots of $width seconds (counted from 1970) and by status.
SELECT
    CAST(floor(EXTRACT(EPOCH FROM COALESCE(started_at, queued_at)) / $width::DOUBLE PRECISION) AS BIGINT) AS slot,
    status,
    COUNT(*) AS runs,
    CAST(SUM(requested) AS BIGINT) AS entities,
    CAST(SUM(documents_regenerated) AS BIGINT) AS documents,
    CAST(SUM(documents_embedded) AS BIGINT) AS embedded,
    COALESCE(SUM(EXTRACT(EPOCH FROM (finished_at - started_at))), 0) AS seconds,
    CAST(SUM(http_requests) AS BIGINT) AS requests,
    CAST(SUM(http_retries) AS BIGINT) AS retries,
    CAST(SUM(http_rate_limited) AS BIGINT) AS rate_limited,
    CAST(SUM(lock_windows) AS BIGINT) AS lock_windows,
    SUM(lock_wait_ms) AS lock_wait_ms,
    SUM(lock_held_ms) AS lock_held_ms,
    MAX(longest_lock_held_ms) AS longest_lock_held_ms
FROM sync_runs
WHERE COALESCE(started_at, queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(started_at, queued_at) < $until::TIMESTAMPTZ
GROUP BY slot, status
ORDER BY slot, status;

-- name: report_triggers
-- How many runs each trigger asked for, and how many entities.
SELECT trigger, COUNT(*) AS runs, CAST(SUM(requested) AS BIGINT) AS entities
FROM sync_runs
WHERE COALESCE(started_at, queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(started_at, queued_at) < $until::TIMESTAMPTZ
GROUP BY trigger
ORDER BY runs DESC, trigger;

-- name: report_durations
-- How long runs took that have ended.
SELECT
    COUNT(*) AS measured,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95,
    MAX(seconds) AS longest
FROM (
    SELECT EXTRACT(EPOCH FROM (finished_at - started_at)) AS seconds
    FROM sync_runs
    WHERE started_at >= $since::TIMESTAMPTZ AND started_at < $until::TIMESTAMPTZ AND finished_at IS NOT NULL
) AS ended;

-- name: report_stages
-- What each stage took and used in all runs together.
SELECT
    sync_run_phases.phase,
    COUNT(*) AS runs,
    COALESCE(SUM(EXTRACT(EPOCH FROM (sync_run_phases.finished_at - sync_run_phases.started_at))), 0) AS seconds,
    CAST(SUM(sync_run_phases.http_requests) AS BIGINT) AS requests,
    CAST(SUM(sync_run_phases.lock_windows) AS BIGINT) AS lock_windows,
    SUM(sync_run_phases.lock_wait_ms) AS lock_wait_ms,
    SUM(sync_run_phases.lock_held_ms) AS lock_held_ms
FROM sync_run_phases
JOIN sync_runs ON sync_runs.run_id = sync_run_phases.run_id
WHERE COALESCE(sync_runs.started_at, sync_runs.queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(sync_runs.started_at, sync_runs.queued_at) < $until::TIMESTAMPTZ
GROUP BY sync_run_phases.phase;

-- name: report_newest_runs
-- The newest runs of the period, the newest first.
SELECT *
FROM sync_runs
WHERE COALESCE(started_at, queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(started_at, queued_at) < $until::TIMESTAMPTZ
ORDER BY COALESCE(started_at, queued_at) DESC, run_id
LIMIT $limit::BIGINT;

-- name: report_stages_of_runs
-- The stages of these runs, each run's in order.
SELECT * FROM sync_run_phases WHERE run_id = ANY($run_ids::VARCHAR[]) ORDER BY run_id, started_at;

-- name: report_states
-- What the last run of the period that was asked for an entity left of it: entities by project and state.
WITH asked AS (
    SELECT
        COALESCE(CAST(sync_runs.project_id AS VARCHAR), sync_runs.project_path) AS project_key,
        COALESCE(projects.path, sync_runs.project_path) AS project,
        sync_runs.number, entity_outcomes.run_id, entity_outcomes.entity_type, entity_outcomes.iid,
        entity_outcomes.tombstoned, entity_outcomes.failure_code, entity_outcomes.unchanged, entity_outcomes.ingested,
        entity_outcomes.stale_skipped
    FROM entity_outcomes
    JOIN sync_runs ON sync_runs.run_id = entity_outcomes.run_id
    LEFT JOIN projects ON projects.project_id = sync_runs.project_id
    WHERE COALESCE(sync_runs.started_at, sync_runs.queued_at) >= $since::TIMESTAMPTZ
      AND COALESCE(sync_runs.started_at, sync_runs.queued_at) < $until::TIMESTAMPTZ
),
latest AS (
    SELECT DISTINCT ON (project_key, entity_type, iid) *
    FROM asked
    ORDER BY project_key, entity_type, iid, number DESC
)
SELECT
    project_key,
    MAX(project) AS project,
    CASE
        WHEN tombstoned THEN 'deleted'
        WHEN failure_code IS NOT NULL THEN 'failed'
        WHEN EXISTS (
            SELECT 1
            FROM entity_failures
            WHERE entity_failures.run_id = latest.run_id
              AND entity_failures.entity_type = latest.entity_type
              AND entity_failures.iid = latest.iid) THEN 'incomplete'
        WHEN unchanged THEN 'unchanged'
        WHEN ingested OR stale_skipped THEN 'synced'
        ELSE 'pending'
    END AS state,
    COUNT(*) AS entities
FROM latest
GROUP BY project_key, state
ORDER BY project_key, state;

-- name: report_not_up_to_date
-- Entities that their last run of the period left failed or incomplete, each with its first failure, the latest first.
WITH asked AS (
    SELECT
        COALESCE(CAST(sync_runs.project_id AS VARCHAR), sync_runs.project_path) AS project_key,
        COALESCE(projects.path, sync_runs.project_path) AS project,
        sync_runs.number, COALESCE(sync_runs.started_at, sync_runs.queued_at) AS asked_at,
        entity_outcomes.run_id, entity_outcomes.entity_type, entity_outcomes.iid, entity_outcomes.tombstoned
    FROM entity_outcomes
    JOIN sync_runs ON sync_runs.run_id = entity_outcomes.run_id
    LEFT JOIN projects ON projects.project_id = sync_runs.project_id
    WHERE COALESCE(sync_runs.started_at, sync_runs.queued_at) >= $since::TIMESTAMPTZ
      AND COALESCE(sync_runs.started_at, sync_runs.queued_at) < $until::TIMESTAMPTZ
),
latest AS (
    SELECT DISTINCT ON (project_key, entity_type, iid) *
    FROM asked
    ORDER BY project_key, entity_type, iid, number DESC
)
SELECT
    latest.project, latest.entity_type, latest.iid, latest.run_id, latest.asked_at,
    failure.stage, failure.dependent, failure.code, failure.message,
    failure.position = 0 AS own
FROM latest
JOIN entity_failures AS failure
    ON failure.run_id = latest.run_id
    AND failure.entity_type = latest.entity_type
    AND failure.iid = latest.iid
WHERE NOT latest.tombstoned
  AND NOT EXISTS (
      SELECT 1
      FROM entity_failures AS earlier
      WHERE earlier.run_id = failure.run_id
        AND earlier.entity_type = failure.entity_type
        AND earlier.iid = failure.iid
        AND earlier.position < failure.position)
ORDER BY latest.number DESC, latest.project, latest.entity_type, latest.iid
LIMIT $limit::BIGINT;

-- name: report_failures
-- Failures of entities by code: how many, of how many entities, in how many runs.
SELECT
    entity_failures.code,
    COUNT(*) AS failures,
    COUNT(DISTINCT CONCAT(
        COALESCE(CAST(sync_runs.project_id AS VARCHAR), sync_runs.project_path), ' ',
        entity_failures.entity_type, ' ', entity_failures.iid)) AS entities,
    COUNT(DISTINCT entity_failures.run_id) AS runs
FROM entity_failures
JOIN sync_runs ON sync_runs.run_id = entity_failures.run_id
WHERE COALESCE(sync_runs.started_at, sync_runs.queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(sync_runs.started_at, sync_runs.queued_at) < $until::TIMESTAMPTZ
GROUP BY entity_failures.code;

-- name: report_failure_examples
-- The latest failure of each code.
SELECT DISTINCT ON (entity_failures.code)
    entity_failures.code, entity_failures.message, entity_failures.stage, entity_failures.dependent,
    COALESCE(projects.path, sync_runs.project_path) AS project,
    entity_failures.entity_type, entity_failures.iid
FROM entity_failures
JOIN sync_runs ON sync_runs.run_id = entity_failures.run_id
LEFT JOIN projects ON projects.project_id = sync_runs.project_id
WHERE COALESCE(sync_runs.started_at, sync_runs.queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(sync_runs.started_at, sync_runs.queued_at) < $until::TIMESTAMPTZ
ORDER BY
    entity_failures.code, sync_runs.number DESC, entity_failures.entity_type, entity_failures.iid,
    entity_failures.position;

-- name: report_endings
-- Why whole runs failed or were cancelled: how many by code.
SELECT failure_code AS code, COUNT(*) AS runs
FROM sync_runs
WHERE failure_code IS NOT NULL
  AND COALESCE(started_at, queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(started_at, queued_at) < $until::TIMESTAMPTZ
GROUP BY failure_code;

-- name: report_slowest
-- Entities that a run had for itself, with the longest time that such a run took, the longest first.
SELECT
    MAX(COALESCE(projects.path, sync_runs.project_path)) AS project,
    entity_outcomes.entity_type, entity_outcomes.iid,
    MAX(EXTRACT(EPOCH FROM (sync_runs.finished_at - sync_runs.started_at))) AS seconds,
    COUNT(*) AS runs
FROM sync_runs
JOIN entity_outcomes ON entity_outcomes.run_id = sync_runs.run_id
LEFT JOIN projects ON projects.project_id = sync_runs.project_id
WHERE sync_runs.requested = 1
  AND sync_runs.finished_at IS NOT NULL
  AND sync_runs.started_at >= $since::TIMESTAMPTZ
  AND sync_runs.started_at < $until::TIMESTAMPTZ
GROUP BY
    COALESCE(CAST(sync_runs.project_id AS VARCHAR), sync_runs.project_path),
    entity_outcomes.entity_type, entity_outcomes.iid
ORDER BY seconds DESC, project, entity_type, iid
LIMIT $limit::BIGINT;

-- name: report_timeouts
-- Entities whose dependents ran out of time, the most often first.
SELECT
    MAX(COALESCE(projects.path, sync_runs.project_path)) AS project,
    entity_failures.entity_type, entity_failures.iid, COUNT(DISTINCT entity_failures.run_id) AS runs
FROM entity_failures
JOIN sync_runs ON sync_runs.run_id = entity_failures.run_id
LEFT JOIN projects ON projects.project_id = sync_runs.project_id
WHERE entity_failures.code = 'TIMEOUT'
  AND entity_failures.stage = 'dependents'
  AND COALESCE(sync_runs.started_at, sync_runs.queued_at) >= $since::TIMESTAMPTZ
  AND COALESCE(sync_runs.started_at, sync_runs.queued_at) < $until::TIMESTAMPTZ
GROUP BY
    COALESCE(CAST(sync_runs.project_id AS VARCHAR), sync_runs.project_path),
    entity_failures.entity_type, entity_failures.iid
ORDER BY runs DESC, project, entity_type, iid
LIMIT $limit::BIGINT;

-- name: report_lags
-- How far behind sensors and the queue were; changes only of what the ledger had before, or a first import would count.
WITH measured AS (
    SELECT 'event_to_request' AS lag, EXTRACT(EPOCH FROM (sync_runs.queued_at - gitlab_events.received_at)) AS seconds
    FROM gitlab_events
    JOIN sync_runs ON sync_runs.run_id = gitlab_events.run_id
    WHERE gitlab_events.state = 'done'
      AND sync_runs.events_upto IS NOT NULL
      AND sync_runs.queued_at >= $since::TIMESTAMPTZ
      AND sync_runs.queued_at < $until::TIMESTAMPTZ
    UNION ALL
    SELECT 'event_to_done', EXTRACT(EPOCH FROM (settled_at - received_at))
    FROM gitlab_events
    WHERE state = 'done' AND settled_at >= $since::TIMESTAMPTZ AND settled_at < $until::TIMESTAMPTZ
    UNION ALL
    SELECT 'change_to_request', EXTRACT(EPOCH FROM (sync_runs.queued_at - entities.updated_at))
    FROM entities
    JOIN sync_runs ON sync_runs.run_id = entities.run_id
    WHERE entities.replaced_updated_at < entities.updated_at
      AND sync_runs.trigger = 'sensor'
      AND sync_runs.events_upto IS NULL
      AND sync_runs.queued_at >= $since::TIMESTAMPTZ
      AND sync_runs.queued_at < $until::TIMESTAMPTZ
    UNION ALL
    SELECT 'request_to_start', EXTRACT(EPOCH FROM (started_at - queued_at))
    FROM sync_runs
    WHERE queued_at IS NOT NULL AND started_at >= $since::TIMESTAMPTZ AND started_at < $until::TIMESTAMPTZ
)
SELECT
    lag,
    COUNT(*) AS measured,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95,
    MAX(seconds) AS longest
FROM measured
GROUP BY lag;

-- name: report_oldest_pending_event
-- When the oldest event came that still waits; NULL: none waits.
SELECT MIN(received_at) FROM gitlab_events WHERE state = 'pending';

-- name: report_live_documents
-- How many documents there are to search.
SELECT COUNT(*) FROM documents WHERE deleted_at IS NULL;

-- name: report_tables
-- How many rows each table has, and how many of them runs of the period wrote or, of events and vectors, came in it.
WITH period AS (
    SELECT run_id
    FROM sync_runs
    WHERE COALESCE(started_at, queued_at) >= $since::TIMESTAMPTZ
      AND COALESCE(started_at, queued_at) < $until::TIMESTAMPTZ
)
SELECT 'sync_runs' AS name, COUNT(*) AS row_count, COUNT(period.run_id) AS written
FROM sync_runs AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'entity_outcomes', COUNT(*), COUNT(period.run_id)
FROM entity_outcomes AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'entity_failures', COUNT(*), COUNT(period.run_id)
FROM entity_failures AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'gitlab_events', COUNT(*), COUNT(*) FILTER (
    WHERE received_at >= $since::TIMESTAMPTZ AND received_at < $until::TIMESTAMPTZ)
FROM gitlab_events
UNION ALL SELECT 'entities', COUNT(*), COUNT(period.run_id)
FROM entities AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'discussions', COUNT(*), COUNT(period.run_id)
FROM discussions AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'notes', COUNT(*), COUNT(period.run_id)
FROM notes AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'resource_events', COUNT(*), COUNT(period.run_id)
FROM resource_events AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'linked_records', COUNT(*), COUNT(period.run_id)
FROM linked_records AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'documents', COUNT(*), COUNT(period.run_id)
FROM documents AS t LEFT JOIN period ON period.run_id = t.run_id
UNION ALL SELECT 'embeddings', COUNT(*), COUNT(*) FILTER (
    WHERE embedded_at >= $since::TIMESTAMPTZ AND embedded_at < $until::TIMESTAMPTZ)
FROM embeddings;
