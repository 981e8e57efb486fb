-- What polling asks: how far the ledger is with what GitLab's lists show, and what hooks told.

-- name: load_standings
-- Of each entity the stored version, whether a run completed it (or the run is no longer known), and its runs since then.
WITH asked AS (
    SELECT
        unnest($project_id::BIGINT[]) AS project_id,
        unnest($project::VARCHAR[]) AS project,
        unnest($entity_type::VARCHAR[]) AS entity_type,
        unnest($iid::BIGINT[]) AS iid,
        unnest($changed_at::TIMESTAMPTZ[]) AS changed_at
),
recent AS (
    SELECT
        run_id, project_id, lower(project_path) AS project, status, finished_at,
        COALESCE(queued_at, started_at) AS made_at,
        COALESCE(heartbeat_at, queued_at) >= $heard_since::TIMESTAMPTZ AS alive
    FROM sync_runs
    WHERE status IN ('queued', 'running')
       OR COALESCE(queued_at, started_at) >= (SELECT MIN(changed_at) FROM asked)
),
tried AS (
    SELECT
        asked.project_id, asked.entity_type, asked.iid,
        COUNT(*) FILTER (WHERE recent.status = 'queued' AND recent.alive) AS queued,
        COUNT(*) FILTER (WHERE recent.status = 'running' AND recent.alive) AS running,
        COUNT(*) FILTER (WHERE recent.finished_at IS NOT NULL AND recent.made_at >= asked.changed_at) AS tries,
        MAX(recent.finished_at)
            FILTER (WHERE recent.finished_at IS NOT NULL AND recent.made_at >= asked.changed_at) AS tried_at
    FROM recent
    JOIN entity_outcomes AS outcome ON outcome.run_id = recent.run_id
    JOIN asked
        ON asked.entity_type = outcome.entity_type
        AND asked.iid = outcome.iid
        AND (asked.project_id = recent.project_id
            OR (recent.project_id IS NULL
                AND recent.project IN (lower(asked.project), CAST(asked.project_id AS VARCHAR))))
    GROUP BY asked.project_id, asked.entity_type, asked.iid
),
stored AS (
    SELECT asked.project_id, asked.entity_type, asked.iid, writer.run_id, writer.number
    FROM asked
    JOIN entities
        ON entities.project_id = asked.project_id
        AND entities.entity_type = asked.entity_type
        AND entities.iid = asked.iid
    LEFT JOIN sync_runs AS writer ON writer.run_id = entities.run_id
),
completed AS (
    SELECT project_id, entity_type, iid FROM stored WHERE run_id IS NULL
    UNION
    SELECT stored.project_id, stored.entity_type, stored.iid
    FROM stored
    JOIN entity_outcomes AS outcome
        ON outcome.entity_type = stored.entity_type
        AND outcome.iid = stored.iid
        AND (outcome.ingested OR outcome.stale_skipped)
    JOIN sync_runs AS run
        ON run.run_id = outcome.run_id
        AND run.project_id = stored.project_id
        AND run.number >= stored.number
        AND run.finished_at IS NOT NULL
    LEFT JOIN entity_failures AS failure
        ON failure.run_id = outcome.run_id
        AND failure.entity_type = outcome.entity_type
        AND failure.iid = outcome.iid
        AND NOT (failure.stage = 'embed' AND failure.code IN ('EMBEDDER_ERROR', 'TIMEOUT'))
    WHERE failure.run_id IS NULL
)
SELECT
    asked.project_id, asked.entity_type, asked.iid, entities.updated_at, entities.fetched_at,
    (completed.iid IS NOT NULL AND discussions.iid IS NOT NULL) AS complete,
    COALESCE(tried.queued, 0) AS queued,
    COALESCE(tried.running, 0) AS running,
    COALESCE(tried.tries, 0) AS tries,
    tried.tried_at
FROM asked
LEFT JOIN entities
    ON entities.project_id = asked.project_id
    AND entities.entity_type = asked.entity_type
    AND entities.iid = asked.iid
    AND entities.missed_at IS NULL
LEFT JOIN dependent_fetches AS discussions
    ON discussions.project_id = asked.project_id
    AND discussions.entity_type = asked.entity_type
    AND discussions.iid = asked.iid
    AND discussions.dependent = 'discussions'
    AND discussions.fetched_at >= entities.fetched_at
LEFT JOIN completed
    ON completed.project_id = asked.project_id
    AND completed.entity_type = asked.entity_type
    AND completed.iid = asked.iid
LEFT JOIN tried
    ON tried.project_id = asked.project_id
    AND tried.entity_type = asked.entity_type
    AND tried.iid = asked.iid;

-- name: load_newest_fetches
-- The current projects, each with the time at which its newest fetch of an issue or merge request began.
SELECT projects.project_id, projects.path, MAX(entities.fetched_at) AS fetched_at
FROM projects
LEFT JOIN entities ON entities.project_id = projects.project_id
WHERE projects.superseded_by IS NULL
GROUP BY projects.project_id, projects.path
ORDER BY projects.project_id;

-- name: count_announced_changes
-- How many entities changed in the time, of how many a hook told soon, and when the last event of these projects came.
WITH watched AS (
    SELECT unnest($project_ids::BIGINT[]) AS project_id
),
changed AS (
    SELECT entities.project_id, entities.entity_type, entities.iid, entities.updated_at
    FROM entities
    JOIN watched ON watched.project_id = entities.project_id
    WHERE entities.updated_at >= $since::TIMESTAMPTZ AND entities.updated_at < $until::TIMESTAMPTZ
),
told AS (
    SELECT DISTINCT changed.project_id, changed.entity_type, changed.iid
    FROM changed
    JOIN gitlab_events AS event
        ON event.project_id = changed.project_id
        AND event.entity_type = changed.entity_type
        AND event.iid = changed.iid
        AND event.received_at + $ahead::INTERVAL
            BETWEEN changed.updated_at - $early::INTERVAL AND changed.updated_at + $soon::INTERVAL
)
SELECT
    (SELECT COUNT(*) FROM changed) AS changes,
    (SELECT COUNT(*) FROM told) AS told,
    (SELECT MAX(received_at) FROM gitlab_events WHERE project_id IN (SELECT project_id FROM watched)) AS last_at;
