-- The lifecycle of a run. Every UPDATE names the status it starts from; no row returned means that the run is lost.
-- The table in migrations/0001_initial.sql documents statuses and phases.

-- name: insert_run
-- A new run begins in $phase; no row if the ledger knows it already.
INSERT INTO sync_runs (
    run_id, parent_run_id, mode, trigger, status, phase, scope, project_path,
    dagster_instance, queued_at, started_at, heartbeat_at, requested, host, pid, process, events_upto, number)
SELECT
    $run_id, $parent_run_id, $mode, $trigger, 'running', $phase, $scope, $project_path,
    $dagster_instance, $queued_at, $now, $now, $requested, $host, $pid, $process, $events_upto,
    (SELECT COALESCE(MAX(number), 0) + 1 FROM sync_runs)
-- Half the price of ON CONFLICT DO NOTHING.
WHERE NOT EXISTS (SELECT 1 FROM sync_runs WHERE run_id = $run_id)
RETURNING run_id;

-- name: start_queued_run
-- A run that waited as queued begins in $phase; no row if it is running or has ended.
UPDATE sync_runs SET
    parent_run_id = COALESCE($parent_run_id, parent_run_id),
    mode = $mode,
    trigger = $trigger,
    status = 'running',
    phase = $phase,
    scope = $scope,
    project_path = $project_path,
    dagster_instance = $dagster_instance,
    queued_at = COALESCE(queued_at, $queued_at),
    started_at = $now,
    heartbeat_at = $now,
    requested = $requested,
    host = $host,
    pid = $pid,
    process = $process,
    events_upto = $events_upto
WHERE run_id = $run_id AND status = 'queued'
RETURNING run_id;

-- name: queue_run
-- A run that Dagster has accepted and not started; no row if the ledger knows it already.
INSERT INTO sync_runs (
    run_id, parent_run_id, mode, trigger, status, phase, scope, project_path,
    dagster_instance, queued_at, requested, host, pid, process, events_upto, number)
VALUES (
    $run_id, $parent_run_id, $mode, $trigger, 'queued', 'queued', $scope, $project_path,
    $dagster_instance, $queued_at, $requested, $host, $pid, $process, $events_upto,
    (SELECT COALESCE(MAX(number), 0) + 1 FROM sync_runs))
ON CONFLICT (run_id) DO NOTHING
RETURNING run_id;

-- name: set_run_mode
-- Why the run was made.
UPDATE sync_runs SET mode = $mode WHERE run_id = $run_id AND status = 'running' RETURNING run_id;

-- name: set_run_counters
-- All counters at once, as absolute values.
UPDATE sync_runs SET
    requested = $requested,
    fetched = $fetched,
    ingested = $ingested,
    stale_skipped = $stale_skipped,
    tombstoned = $tombstoned,
    failed = $failed,
    dependents_replaced = $dependents_replaced,
    dependents_stale_skipped = $dependents_stale_skipped,
    dependent_failures = $dependent_failures,
    documents_regenerated = $documents_regenerated,
    documents_unchanged = $documents_unchanged,
    documents_errored = $documents_errored,
    documents_embedded = $documents_embedded,
    documents_reused = $documents_reused,
    documents_superseded = $documents_superseded,
    documents_embed_failed = $documents_embed_failed
WHERE run_id = $run_id AND status = 'running'
RETURNING run_id;

-- name: update_run
-- What a window changes in its run, counters and usage as increments: the heartbeat and the fence, too.
UPDATE sync_runs SET
    heartbeat_at = $now,
    phase = COALESCE($phase, phase),
    project_id = COALESCE($project_id, project_id),
    project_path = COALESCE($project_path, project_path),
    requested = requested + $requested,
    fetched = fetched + $fetched,
    ingested = ingested + $ingested,
    stale_skipped = stale_skipped + $stale_skipped,
    tombstoned = tombstoned + $tombstoned,
    failed = failed + $failed,
    dependents_replaced = dependents_replaced + $dependents_replaced,
    dependents_stale_skipped = dependents_stale_skipped + $dependents_stale_skipped,
    dependent_failures = dependent_failures + $dependent_failures,
    documents_regenerated = documents_regenerated + $documents_regenerated,
    documents_unchanged = documents_unchanged + $documents_unchanged,
    documents_errored = documents_errored + $documents_errored,
    documents_embedded = documents_embedded + $documents_embedded,
    documents_reused = documents_reused + $documents_reused,
    documents_superseded = documents_superseded + $documents_superseded,
    documents_embed_failed = documents_embed_failed + $documents_embed_failed,
    lock_windows = lock_windows + $lock_windows,
    lock_wait_ms = lock_wait_ms + $lock_wait_ms,
    lock_held_ms = lock_held_ms + $lock_held_ms,
    longest_lock_held_ms = GREATEST(longest_lock_held_ms, $longest_lock_held_ms),
    http_requests = http_requests + $http_requests,
    http_retries = http_retries + $http_retries,
    http_rate_limited = http_rate_limited + $http_rate_limited
WHERE run_id = $run_id AND status = 'running'
RETURNING run_id;

-- name: finish_run
-- The one step into a terminal status; no row if another ending came first or, with $if_silent, after a new heartbeat.
UPDATE sync_runs SET
    status = $status,
    phase = COALESCE($phase, phase),
    finished_at = $now,
    cancelled_at = CASE WHEN $status = 'cancelled' THEN $now::TIMESTAMPTZ END,
    warnings_count = $warnings_count,
    failed = $failed,
    failure_code = $failure_code,
    failure_message = $failure_message
WHERE run_id = $run_id
  AND (status = 'running' OR (status = 'queued' AND $status IN ('failed', 'cancelled')))
  AND (NOT $if_silent OR heartbeat_at IS NOT DISTINCT FROM $heartbeat_at::TIMESTAMPTZ)
RETURNING run_id;

-- name: set_dagster_status
-- Dagster's status of the run, also after its end: the mirror's column, not part of the lifecycle.
UPDATE sync_runs SET dagster_status = $dagster_status
WHERE run_id = $run_id AND dagster_status IS DISTINCT FROM $dagster_status
RETURNING run_id;

-- name: open_phase
-- A stage begins, unless it has begun already.
INSERT INTO sync_run_phases (run_id, phase, started_at)
SELECT $run_id, $phase, $now
WHERE NOT EXISTS (SELECT 1 FROM sync_run_phases WHERE run_id = $run_id AND phase = $phase);

-- name: update_phases
-- What was used in these stages since that was last written, and when they ended. What has ended stays so.
UPDATE sync_run_phases SET
    finished_at = COALESCE(sync_run_phases.finished_at, incoming.finished_at),
    lock_windows = sync_run_phases.lock_windows + incoming.lock_windows,
    lock_wait_ms = sync_run_phases.lock_wait_ms + incoming.lock_wait_ms,
    lock_held_ms = sync_run_phases.lock_held_ms + incoming.lock_held_ms,
    http_requests = sync_run_phases.http_requests + incoming.http_requests
FROM (
    SELECT
        unnest($phase::VARCHAR[]) AS phase,
        unnest($finished_at::TIMESTAMPTZ[]) AS finished_at,
        unnest($lock_windows::INTEGER[]) AS lock_windows,
        unnest($lock_wait_ms::DOUBLE PRECISION[]) AS lock_wait_ms,
        unnest($lock_held_ms::DOUBLE PRECISION[]) AS lock_held_ms,
        unnest($http_requests::INTEGER[]) AS http_requests
) AS incoming
WHERE sync_run_phases.run_id = $run_id AND sync_run_phases.phase = incoming.phase;

-- name: close_open_phase
-- The stage that the run is in ends.
UPDATE sync_run_phases SET finished_at = $now WHERE run_id = $run_id AND finished_at IS NULL;

-- name: ledger_made_at
-- When the ledger was made: unique to it, and kept by a copy that takes its place.
SELECT MIN(applied_at) FROM schema_migrations;

-- name: newest_ended_run
-- Of the runs that have ended, the one with the highest number; no row if none has.
SELECT number, run_id, finished_at FROM sync_runs WHERE finished_at IS NOT NULL ORDER BY number DESC LIMIT 1;

-- name: run_with_number
-- The run of that number.
SELECT run_id, finished_at FROM sync_runs WHERE number = $number;

-- name: load_run
-- Everything about one run.
SELECT * FROM sync_runs WHERE run_id = $run_id;

-- name: list_runs
-- Runs, the newest first, of one status or of all; of all triggers or only those that events asked for.
SELECT * FROM sync_runs
WHERE ($status::VARCHAR IS NULL OR status = $status::VARCHAR) AND (NOT $of_events OR events_upto IS NOT NULL)
ORDER BY COALESCE(started_at, queued_at) DESC NULLS LAST, run_id
LIMIT $limit::BIGINT;

-- name: list_open_and_named_runs
-- Runs that have not ended, and these, and those that ended lately and not yet by Dagster's last word that is known.
SELECT * FROM sync_runs
WHERE status IN ('queued', 'running')
    OR run_id IN (SELECT unnest($run_ids::VARCHAR[]))
    OR (finished_at > $ended_after::TIMESTAMPTZ
        AND COALESCE(dagster_status, '') NOT IN ('SUCCESS', 'FAILURE', 'CANCELED'))
ORDER BY run_id;

-- name: find_runs_by_prefix
-- Runs whose id begins with the prefix, the newest first.
SELECT * FROM sync_runs
WHERE starts_with(run_id, $prefix::VARCHAR)
ORDER BY COALESCE(started_at, queued_at) DESC NULLS LAST, run_id
LIMIT 6;
