-- What stays of runs that were pruned.

-- For each day (UTC) on which pruned runs ended: how many of them ended with this code, and how many failures of
-- entities and dependents had it. Written in the transaction that deletes the runs.
CREATE TABLE pruned_failures (
    day      DATE    NOT NULL,
    code     VARCHAR NOT NULL,
    runs     BIGINT  NOT NULL,
    failures BIGINT  NOT NULL,
    PRIMARY KEY (day, code)
);

-- The same of all runs that ever ended, pruned or not.
CREATE VIEW daily_failures AS
SELECT day, code, CAST(SUM(runs) AS BIGINT) AS runs, CAST(SUM(failures) AS BIGINT) AS failures
FROM (
    SELECT day, code, runs, failures FROM pruned_failures
    UNION ALL
    SELECT CAST(finished_at AT TIME ZONE 'UTC' AS DATE), failure_code, 1, 0
    FROM sync_runs
    WHERE finished_at IS NOT NULL AND failure_code IS NOT NULL
    UNION ALL
    SELECT CAST(sync_runs.finished_at AT TIME ZONE 'UTC' AS DATE), entity_failures.code, 0, 1
    FROM entity_failures
    JOIN sync_runs ON sync_runs.run_id = entity_failures.run_id
    WHERE sync_runs.finished_at IS NOT NULL
) AS counted
GROUP BY day, code;
