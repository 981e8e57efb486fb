-- Backfills: what became of the entities of many runs. Of an entity that several of them had, the last one counts.

-- name: count_backfill_entities
-- Entities of these runs by state and code. A later position is a later run; projects as the runs were asked for them.
WITH given AS (
    SELECT
        unnest($run_ids::VARCHAR[]) AS run_id,
        unnest($projects::VARCHAR[]) AS project,
        unnest($positions::INTEGER[]) AS position
),
outcomes AS (
    SELECT
        entity_outcomes.run_id, entity_outcomes.entity_type, entity_outcomes.iid,
        entity_outcomes.failure_code, entity_outcomes.unchanged, sync_runs.status,
        entity_outcomes.ingested OR entity_outcomes.stale_skipped OR entity_outcomes.tombstoned AS written,
        ROW_NUMBER() OVER (
            PARTITION BY given.project, entity_outcomes.entity_type, entity_outcomes.iid ORDER BY given.position DESC
        ) AS from_last
    FROM given
    JOIN sync_runs ON sync_runs.run_id = given.run_id
    JOIN entity_outcomes ON entity_outcomes.run_id = given.run_id
),
failures AS (
    SELECT run_id, entity_type, iid, MIN(code) AS code
    FROM entity_failures
    WHERE run_id IN (SELECT run_id FROM given)
    GROUP BY run_id, entity_type, iid
)
SELECT
    CASE
        WHEN outcomes.failure_code = 'NOT_FOUND' THEN 'missing'
        WHEN failures.code IS NOT NULL THEN 'failed'
        WHEN outcomes.status = 'queued' THEN 'waiting'
        WHEN outcomes.status = 'running' AND outcomes.written THEN 'written'
        WHEN outcomes.status = 'running' THEN 'running'
        WHEN outcomes.unchanged THEN 'unchanged'
        ELSE 'done'
    END AS state,
    COALESCE(outcomes.failure_code, failures.code) AS code,
    COUNT(*) AS entities
FROM outcomes
LEFT JOIN failures
    ON failures.run_id = outcomes.run_id
    AND failures.entity_type = outcomes.entity_type
    AND failures.iid = outcomes.iid
WHERE outcomes.from_last = 1
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: load_backfill_failures
-- The failures that the last run of each entity left, each entity's own first.
WITH given AS (
    SELECT
        unnest($run_ids::VARCHAR[]) AS run_id,
        unnest($projects::VARCHAR[]) AS project,
        unnest($positions::INTEGER[]) AS position
),
outcomes AS (
    SELECT
        given.project, entity_outcomes.run_id, entity_outcomes.entity_type, entity_outcomes.iid,
        sync_runs.status IN ('failed', 'cancelled') AS run_failed,
        ROW_NUMBER() OVER (
            PARTITION BY given.project, entity_outcomes.entity_type, entity_outcomes.iid ORDER BY given.position DESC
        ) AS from_last
    FROM given
    JOIN sync_runs ON sync_runs.run_id = given.run_id
    JOIN entity_outcomes ON entity_outcomes.run_id = given.run_id
)
SELECT
    outcomes.project, outcomes.entity_type, outcomes.iid, outcomes.run_failed,
    entity_failures.code, entity_failures.position = 0 AS own
FROM outcomes
JOIN entity_failures
    ON entity_failures.run_id = outcomes.run_id
    AND entity_failures.entity_type = outcomes.entity_type
    AND entity_failures.iid = outcomes.iid
WHERE outcomes.from_last = 1
ORDER BY outcomes.project, outcomes.entity_type, outcomes.iid, entity_failures.position;

-- name: runs_by_id
-- These runs, as far as the ledger knows them.
SELECT * FROM sync_runs WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[]));
