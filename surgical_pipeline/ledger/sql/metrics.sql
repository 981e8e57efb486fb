-- What metrics ask of the whole ledger. What they share with the page `report` and with sensors is in report.sql,
-- events.sql and backlog.sql.

-- name: metrics_runs
-- How many runs the ledger holds, by status and trigger.
SELECT status, trigger, COUNT(*) AS runs FROM sync_runs GROUP BY status, trigger;

-- name: metrics_signs_of_life
-- The oldest heartbeat of a running run, since when a run waits, the last success, and how many runs there ever were.
SELECT
    MIN(heartbeat_at) FILTER (WHERE status = 'running') AS oldest_heartbeat_at,
    MIN(queued_at) FILTER (WHERE status = 'queued') AS oldest_queued_at,
    MAX(finished_at) FILTER (WHERE status IN ('succeeded', 'succeeded_with_warnings')) AS last_success_at,
    COALESCE(MAX(number), 0) AS runs_ever
FROM sync_runs;

-- name: metrics_failures
-- How many runs ever ended with each code, and how many failures of entities had it, pruned runs included.
SELECT code, CAST(SUM(runs) AS BIGINT) AS runs, CAST(SUM(failures) AS BIGINT) AS failures
FROM daily_failures
GROUP BY code;
