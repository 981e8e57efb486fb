-- Deleting what is old: runs that have ended, and events that are settled. Which runs stay, and why, is told in
-- ledger/pruning.py.

-- name: list_old_runs
-- Runs of a Dagster instance that ended before a time, below a number, the newest first.
SELECT run_id, number
FROM sync_runs
WHERE finished_at < $before::TIMESTAMPTZ
  AND dagster_instance = $instance
  AND trigger = ANY($triggers::VARCHAR[])
  AND number < $below
ORDER BY number DESC
LIMIT $limit::BIGINT;

-- name: count_old_runs_of_others
-- Such runs of other instances, or of none.
SELECT COUNT(*)
FROM sync_runs
WHERE finished_at < $before::TIMESTAMPTZ
  AND dagster_instance IS DISTINCT FROM $instance
  AND trigger = ANY($triggers::VARCHAR[]);

-- name: list_runs_to_prune
-- Those of these runs that ended before the time and that nothing needs any more.
WITH asked AS (
    SELECT DISTINCT entity_type, iid FROM entity_outcomes WHERE run_id = ANY($run_ids::VARCHAR[])
),
unsound AS (
    SELECT DISTINCT failure.run_id, failure.entity_type, failure.iid
    FROM entity_failures AS failure
    JOIN asked ON asked.entity_type = failure.entity_type AND asked.iid = failure.iid
    WHERE NOT (failure.stage = 'embed' AND failure.code IN ('EMBEDDER_ERROR', 'TIMEOUT'))
),
tried AS (
    SELECT
        sync_runs.run_id, sync_runs.number, outcome.entity_type, outcome.iid,
        COALESCE(CAST(COALESCE(sync_runs.project_id, projects.project_id) AS VARCHAR), lower(sync_runs.project_path))
            AS project,
        CASE WHEN (outcome.ingested OR outcome.stale_skipped) AND unsound.run_id IS NULL THEN sync_runs.number END
            AS brought
    FROM entity_outcomes AS outcome
    JOIN asked ON asked.entity_type = outcome.entity_type AND asked.iid = outcome.iid
    JOIN sync_runs ON sync_runs.run_id = outcome.run_id AND sync_runs.finished_at IS NOT NULL
    LEFT JOIN projects ON lower(projects.path) = lower(sync_runs.project_path) AND projects.superseded_by IS NULL
    LEFT JOIN unsound
        ON unsound.run_id = outcome.run_id
        AND unsound.entity_type = outcome.entity_type
        AND unsound.iid = outcome.iid
),
placed AS (
    SELECT
        run_id, number,
        ROW_NUMBER() OVER (PARTITION BY project, entity_type, iid ORDER BY number DESC) AS place,
        MAX(brought) OVER (PARTITION BY project, entity_type, iid) AS last_brought
    FROM tried
),
needed AS (
    SELECT run_id FROM placed
    WHERE number = last_brought OR (place <= $tries AND number > COALESCE(last_brought, 0))
    UNION
    SELECT run_id FROM entities WHERE run_id = ANY($run_ids::VARCHAR[])
    UNION
    SELECT parent_run_id FROM sync_runs
    WHERE parent_run_id = ANY($run_ids::VARCHAR[])
      AND (finished_at IS NULL OR finished_at >= $before::TIMESTAMPTZ)
    UNION
    SELECT run_id FROM gitlab_events WHERE state IN ('pending', 'dead') AND run_id = ANY($run_ids::VARCHAR[])
    UNION
    SELECT run_id FROM sync_runs
    WHERE number = (SELECT MAX(number) FROM sync_runs WHERE finished_at IS NOT NULL)
)
SELECT run_id
FROM sync_runs
WHERE run_id = ANY($run_ids::VARCHAR[])
  AND finished_at < $before::TIMESTAMPTZ
  AND NOT EXISTS (SELECT 1 FROM needed WHERE needed.run_id = sync_runs.run_id);

-- name: list_runs_to_spare
-- Those of these runs that a run repeats which has not ended or is not old.
SELECT DISTINCT parent_run_id
FROM sync_runs
WHERE parent_run_id = ANY($run_ids::VARCHAR[])
  AND (finished_at IS NULL OR finished_at >= $before::TIMESTAMPTZ);

-- name: keep_failure_counts
-- Add the failures of these runs to the counts of the days on which they ended.
INSERT INTO pruned_failures (day, code, runs, failures)
SELECT day, code, CAST(SUM(runs) AS BIGINT), CAST(SUM(failures) AS BIGINT)
FROM (
    SELECT CAST(finished_at AT TIME ZONE 'UTC' AS DATE) AS day, failure_code AS code, 1 AS runs, 0 AS failures
    FROM sync_runs
    WHERE run_id = ANY($run_ids::VARCHAR[]) AND failure_code IS NOT NULL
    UNION ALL
    SELECT CAST(sync_runs.finished_at AT TIME ZONE 'UTC' AS DATE), entity_failures.code, 0, 1
    FROM entity_failures
    JOIN sync_runs ON sync_runs.run_id = entity_failures.run_id
    WHERE entity_failures.run_id = ANY($run_ids::VARCHAR[])
) AS counted
GROUP BY day, code
ON CONFLICT (day, code) DO UPDATE SET
    runs = pruned_failures.runs + excluded.runs,
    failures = pruned_failures.failures + excluded.failures;

-- name: prune_failures
-- Delete all failures of these runs.
DELETE FROM entity_failures WHERE run_id = ANY($run_ids::VARCHAR[]);

-- name: prune_outcomes
-- Delete all outcomes of these runs.
DELETE FROM entity_outcomes WHERE run_id = ANY($run_ids::VARCHAR[]);

-- name: prune_phases
-- Delete the stages of these runs.
DELETE FROM sync_run_phases WHERE run_id = ANY($run_ids::VARCHAR[]);

-- name: prune_runs
-- Delete the rows of these runs, which have ended.
DELETE FROM sync_runs WHERE run_id = ANY($run_ids::VARCHAR[]) AND finished_at IS NOT NULL RETURNING run_id;

-- name: count_old_events
-- Events that were settled before a time; never the newest one, after which the next is numbered.
SELECT COUNT(*)
FROM gitlab_events
WHERE state IN ('done', 'ignored')
  AND settled_at < $before::TIMESTAMPTZ
  AND seq < (SELECT MAX(seq) FROM gitlab_events);

-- name: prune_events
-- Delete up to a number of these.
DELETE FROM gitlab_events
WHERE event_key IN (
    SELECT event_key
    FROM gitlab_events
    WHERE state IN ('done', 'ignored')
      AND settled_at < $before::TIMESTAMPTZ
      AND seq < (SELECT MAX(seq) FROM gitlab_events)
    ORDER BY seq
    LIMIT $limit::BIGINT)
RETURNING seq;

-- name: load_run_statuses
-- The statuses of these runs, as far as the ledger knows them.
SELECT run_id, status FROM sync_runs WHERE run_id = ANY($run_ids::VARCHAR[]);
