-- The inbox of events: what waits in it, and what became of it. The table is in migrations/0003_events.sql. A run
-- that a sensor asked for names its project by id, also where it ended before GitLab was asked for the path.
--
-- A run counts as one that will end only if it was heard of after $heard_since: a row that was queued by a Dagster whose
-- storage is gone stays queued for ever.
--
-- An entity settles $settling after its change; a merge request may take $prepared_within to be prepared, and of these
-- only those that were fetched after $lately are looked at, because that reads their payloads.

-- name: list_pending_projects
-- Projects that have pending events, how many each since when, and its path as the ledger or else an event gives it.
SELECT
    gitlab_events.project_id,
    COALESCE(MAX(projects.path), MAX(gitlab_events.project_path), CAST(gitlab_events.project_id AS VARCHAR)) AS project,
    COUNT(*) AS events,
    MIN(gitlab_events.received_at) AS oldest_at
FROM gitlab_events
LEFT JOIN projects ON projects.project_id = gitlab_events.project_id
WHERE gitlab_events.state = 'pending'
GROUP BY gitlab_events.project_id
ORDER BY gitlab_events.project_id;

-- name: list_waiting_entities
-- Entities with pending events, those without an attempt first; without those that a run takes that has not ended.
WITH waiting AS (
    SELECT
        project_id, entity_type, iid,
        MIN(seq) AS first_seq,
        MAX(seq) AS last_seq,
        COUNT(*) AS events,
        COUNT(*) FILTER (WHERE attempted_at IS NULL) AS fresh,
        MIN(received_at) FILTER (WHERE attempted_at IS NULL) AS oldest_at,
        MAX(received_at) FILTER (WHERE attempted_at IS NULL) AS newest_at,
        COALESCE(MIN(attempts) FILTER (WHERE attempted_at IS NOT NULL), 0) AS attempts,
        MAX(attempted_at) AS attempted_at
    FROM gitlab_events
    WHERE state = 'pending' AND project_id = ANY($project_ids::BIGINT[])
    GROUP BY project_id, entity_type, iid
),
taken AS (
    SELECT
        COALESCE(CAST(sync_runs.project_id AS VARCHAR), sync_runs.project_path) AS project,
        entity_outcomes.entity_type, entity_outcomes.iid, sync_runs.events_upto
    FROM sync_runs
    JOIN entity_outcomes ON entity_outcomes.run_id = sync_runs.run_id
    WHERE sync_runs.status IN ('queued', 'running')
      AND sync_runs.events_upto IS NOT NULL
      AND COALESCE(sync_runs.heartbeat_at, sync_runs.queued_at) >= $heard_since::TIMESTAMPTZ
)
SELECT *
FROM waiting
WHERE NOT EXISTS (
    SELECT 1
    FROM taken
    WHERE taken.project = CAST(waiting.project_id AS VARCHAR)
      AND taken.entity_type = waiting.entity_type
      AND taken.iid = waiting.iid
      AND taken.events_upto >= waiting.first_seq)
ORDER BY (fresh = 0), attempts, first_seq
LIMIT $limit::BIGINT;

-- name: load_pending_events_of_run
-- Pending events of these entities of a run's project, and up to which number the run takes events.
SELECT
    gitlab_events.event_key, gitlab_events.seq, gitlab_events.project_id, gitlab_events.entity_type,
    gitlab_events.iid, gitlab_events.kind, gitlab_events.occurred_at, gitlab_events.sent_at,
    gitlab_events.received_at, gitlab_events.attempts, sync_runs.events_upto
FROM gitlab_events
JOIN sync_runs
    ON sync_runs.run_id = $run_id
    AND COALESCE(CAST(sync_runs.project_id AS VARCHAR), sync_runs.project_path)
        = CAST(gitlab_events.project_id AS VARCHAR)
WHERE gitlab_events.state = 'pending'
  AND (gitlab_events.entity_type, gitlab_events.iid) IN (
      SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: load_stored_fetches
-- When the stored fetches of these entities began, and those of their dependents of these names.
SELECT
    entities.entity_type, entities.iid, entities.fetched_at, entities.updated_at,
    COUNT(dependent_fetches.dependent) AS dependents,
    MIN(dependent_fetches.fetched_at) AS dependents_fetched_at
FROM entities
LEFT JOIN dependent_fetches
    ON dependent_fetches.project_id = entities.project_id
    AND dependent_fetches.entity_type = entities.entity_type
    AND dependent_fetches.iid = entities.iid
    AND dependent_fetches.dependent = ANY($dependents::VARCHAR[])
WHERE entities.project_id = $project_id
  AND (entities.entity_type, entities.iid) IN (
      SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
GROUP BY entities.entity_type, entities.iid, entities.fetched_at, entities.updated_at;

-- name: settle_events
-- What became of pending events by a run that ended now.
UPDATE gitlab_events SET
    state = verdict.state,
    attempts = verdict.attempts,
    attempted_at = CASE
        WHEN verdict.attempts > gitlab_events.attempts THEN $now::TIMESTAMPTZ ELSE gitlab_events.attempted_at END,
    run_id = $run_id,
    reason = verdict.reason,
    settled_at = CASE WHEN verdict.state <> 'pending' THEN $now::TIMESTAMPTZ END
FROM (
    SELECT
        unnest($event_key::VARCHAR[]) AS event_key,
        unnest($state::VARCHAR[]) AS state,
        unnest($attempts::INTEGER[]) AS attempts,
        unnest($reason::VARCHAR[]) AS reason
) AS verdict
WHERE gitlab_events.event_key = verdict.event_key AND gitlab_events.state = 'pending';

-- name: list_events
-- Events of one state or of all, the latest first.
SELECT
    gitlab_events.seq, gitlab_events.state, gitlab_events.kind, gitlab_events.project_id,
    COALESCE(projects.path, gitlab_events.project_path, CAST(gitlab_events.project_id AS VARCHAR)) AS project,
    gitlab_events.entity_type, gitlab_events.iid, gitlab_events.occurred_at, gitlab_events.sent_at,
    gitlab_events.received_at, gitlab_events.attempts, gitlab_events.attempted_at, gitlab_events.settled_at,
    gitlab_events.run_id, gitlab_events.reason
FROM gitlab_events
LEFT JOIN projects ON projects.project_id = gitlab_events.project_id
WHERE $state::VARCHAR IS NULL OR gitlab_events.state = $state::VARCHAR
ORDER BY gitlab_events.seq DESC
LIMIT $limit::BIGINT;

-- name: count_events
-- How many events are in each state.
SELECT state, COUNT(*) AS events FROM gitlab_events GROUP BY state;

-- name: retry_events
-- Dead and ignored events wait again, as if no run had tried: these, or all dead ones.
UPDATE gitlab_events
SET state = 'pending', attempts = 0, attempted_at = NULL, reason = NULL, settled_at = NULL
WHERE (state = 'dead' AND $all) OR (state IN ('dead', 'ignored') AND seq = ANY($seqs::BIGINT[]))
RETURNING seq;

-- name: drop_events
-- A person asks for no run because of these pending or dead events, or of all dead ones.
UPDATE gitlab_events
SET state = 'ignored', reason = 'dropped by a person', settled_at = $now
WHERE (state = 'dead' AND $all) OR (state IN ('pending', 'dead') AND seq = ANY($seqs::BIGINT[]))
RETURNING seq;

-- name: list_unsettled_entities
-- Live entities that may have changed since they were fetched and that no open run has, the last fetched first.
WITH in_flight AS (
    SELECT
        COALESCE(sync_runs.project_id, projects.project_id) AS project_id, sync_runs.project_path,
        entity_outcomes.entity_type, entity_outcomes.iid
    FROM sync_runs
    JOIN entity_outcomes ON entity_outcomes.run_id = sync_runs.run_id
    LEFT JOIN projects ON projects.path = sync_runs.project_path AND projects.superseded_by IS NULL
    WHERE sync_runs.status IN ('queued', 'running')
      AND COALESCE(sync_runs.heartbeat_at, sync_runs.queued_at) >= $heard_since::TIMESTAMPTZ
),
unsettled AS (
    SELECT
        project_id, entity_type, iid, updated_at, fetched_at, run_id, CAST(NULL AS TIMESTAMPTZ) AS preparing_since
    FROM entities
    WHERE missed_at IS NULL
      AND fetched_at < updated_at + $settling::INTERVAL
      AND updated_at + $settling::INTERVAL <= $now::TIMESTAMPTZ
    UNION ALL
    SELECT
        project_id, entity_type, iid, updated_at, fetched_at, run_id,
        CAST(payload ->> 'created_at' AS TIMESTAMPTZ) AS preparing_since
    FROM entities
    WHERE missed_at IS NULL
      AND entity_type = 'merge_request'
      AND fetched_at >= updated_at + $settling::INTERVAL
      AND fetched_at < updated_at + $prepared_within::INTERVAL
      AND fetched_at >= $lately::TIMESTAMPTZ
      AND fetched_at + $settling::INTERVAL <= $now::TIMESTAMPTZ
      AND ((payload ->> 'prepared_at') IS NULL OR (payload ->> 'diff_refs') IS NULL)
)
SELECT
    unsettled.project_id, projects.path AS project, unsettled.entity_type, unsettled.iid, unsettled.updated_at,
    unsettled.fetched_at, unsettled.run_id, unsettled.preparing_since
FROM unsettled
JOIN projects ON projects.project_id = unsettled.project_id AND projects.superseded_by IS NULL
WHERE ($project_ids::BIGINT[] IS NULL OR unsettled.project_id = ANY($project_ids::BIGINT[]))
  AND NOT EXISTS (
      SELECT 1
      FROM in_flight
      WHERE COALESCE(CAST(in_flight.project_id AS VARCHAR), in_flight.project_path)
              = CAST(unsettled.project_id AS VARCHAR)
        AND in_flight.entity_type = unsettled.entity_type
        AND in_flight.iid = unsettled.iid)
ORDER BY unsettled.fetched_at DESC, unsettled.project_id, unsettled.entity_type, unsettled.iid
LIMIT $limit::BIGINT;

-- name: list_tries
-- Ended runs for each of these entities since it was fetched: when the last ended, and how many but the one that wrote it.
WITH asked AS (
    SELECT
        unnest($project_id::BIGINT[]) AS project_id,
        unnest($project::VARCHAR[]) AS project,
        unnest($entity_type::VARCHAR[]) AS entity_type,
        unnest($iid::BIGINT[]) AS iid,
        unnest($fetched_at::TIMESTAMPTZ[]) AS fetched_at,
        unnest($run_id::VARCHAR[]) AS run_id
)
SELECT
    asked.project_id, asked.entity_type, asked.iid,
    COUNT(*) FILTER (WHERE sync_runs.run_id <> asked.run_id) AS tries,
    MAX(sync_runs.finished_at) AS tried_at
FROM asked
JOIN entity_outcomes ON entity_outcomes.entity_type = asked.entity_type AND entity_outcomes.iid = asked.iid
JOIN sync_runs
    ON sync_runs.run_id = entity_outcomes.run_id
    AND sync_runs.finished_at >= asked.fetched_at
    AND (sync_runs.project_id = asked.project_id
        OR (sync_runs.project_id IS NULL
            AND lower(sync_runs.project_path) IN (lower(asked.project), CAST(asked.project_id AS VARCHAR))))
GROUP BY asked.project_id, asked.entity_type, asked.iid;
