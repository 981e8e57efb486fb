-- What the computed views select, in SQL that DuckDB and PostgreSQL share. `make views` puts it into the files
-- beside this one.

-- name: label_spans
-- How long labels were there. One without an event of being added was there from the beginning.
WITH entity AS (
    SELECT
        project, project_id, 'Issue' AS noteable_type, iid AS noteable_iid, labels, created_at, updated_at,
        confidential, web_url
    FROM gitlab.issues
    UNION ALL
    SELECT project, project_id, 'MergeRequest', iid, labels, created_at, updated_at, FALSE, web_url
    FROM gitlab.merge_requests
),
changes AS (
    SELECT
        project_id, noteable_type, noteable_iid, label_name, action, created_at, id,
        LAG(action) OVER (
            PARTITION BY project_id, noteable_type, noteable_iid, label_name ORDER BY created_at, id
        ) AS before
    FROM gitlab.label_events
    WHERE label_name IS NOT NULL AND action IN ('add', 'remove')
),
-- An event that says the same as the one before it changes nothing.
turns AS (
    SELECT
        project_id, noteable_type, noteable_iid, label_name, action, before, created_at,
        LEAD(created_at) OVER (
            PARTITION BY project_id, noteable_type, noteable_iid, label_name ORDER BY created_at, id
        ) AS until
    FROM changes
    WHERE before IS NULL OR action <> before
),
-- Events fetched before the entity was last changed may lack the one that added a label.
fetched AS (
    SELECT
        project_id, CASE entity_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS noteable_type,
        iid AS noteable_iid, fetched_at
    FROM main.dependent_fetches
    WHERE dependent = 'label_events'
),
carried AS (
    SELECT project_id, noteable_type, noteable_iid, created_at, updated_at, UNNEST(labels) AS label_name
    FROM entity
),
eventless AS (
    SELECT
        carried.project_id, carried.noteable_type, carried.noteable_iid, carried.label_name, carried.created_at,
        COALESCE(fetched.fetched_at >= carried.updated_at, FALSE) AS complete
    FROM carried
    LEFT JOIN fetched USING (project_id, noteable_type, noteable_iid)
    LEFT JOIN (
        SELECT DISTINCT project_id, noteable_type, noteable_iid, label_name FROM changes
    ) AS told USING (project_id, noteable_type, noteable_iid, label_name)
    WHERE told.label_name IS NULL
),
spans AS (
    SELECT
        project_id, noteable_type, noteable_iid, label_name,
        created_at AS from_at, until AS to_at, FALSE AS from_creation
    FROM turns
    WHERE action = 'add'
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, label_name, entity.created_at, turns.created_at, TRUE
    FROM turns
    JOIN entity USING (project_id, noteable_type, noteable_iid)
    WHERE action = 'remove' AND before IS NULL
    UNION ALL
    SELECT
        project_id, noteable_type, noteable_iid, label_name, CASE WHEN complete THEN created_at END, NULL, complete
    FROM eventless
)
SELECT
    project, project_id, noteable_type, noteable_iid, label_name, from_at, to_at, from_creation,
    confidential, web_url
FROM spans
JOIN entity USING (project_id, noteable_type, noteable_iid);

-- name: state_spans
-- How long states lasted. All begin opened; a GitLab without state events tells only how it is now.
WITH entity AS (
    SELECT
        project, project_id, 'Issue' AS noteable_type, iid AS noteable_iid, state, created_at,
        closed_at AS ended_at, confidential, web_url
    FROM gitlab.issues
    UNION ALL
    SELECT
        project, project_id, 'MergeRequest', iid, state, created_at,
        CASE state WHEN 'merged' THEN merged_at ELSE closed_at END, FALSE, web_url
    FROM gitlab.merge_requests
),
events AS (
    SELECT
        project_id, noteable_type, noteable_iid, created_at, id,
        CASE state WHEN 'reopened' THEN 'opened' ELSE state END AS state
    FROM gitlab.state_events
    WHERE state IS NOT NULL
),
eventless AS (
    SELECT project_id, noteable_type, noteable_iid, entity.ended_at, entity.state
    FROM entity
    LEFT JOIN (
        SELECT DISTINCT project_id, noteable_type, noteable_iid, state FROM events
    ) AS told USING (project_id, noteable_type, noteable_iid, state)
    WHERE entity.state IN ('closed', 'merged') AND entity.ended_at IS NOT NULL AND told.state IS NULL
),
changes AS (
    SELECT project_id, noteable_type, noteable_iid, created_at, 0 AS id, 'opened' AS state FROM entity
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, created_at, id, state FROM events
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, ended_at, 1, state FROM eventless
),
turns AS (
    SELECT
        changes.*,
        LAG(state) OVER (PARTITION BY project_id, noteable_type, noteable_iid ORDER BY created_at, id) AS before
    FROM changes
),
spans AS (
    SELECT
        project_id, noteable_type, noteable_iid, state, created_at AS from_at,
        LEAD(created_at) OVER (
            PARTITION BY project_id, noteable_type, noteable_iid ORDER BY created_at, id
        ) AS to_at
    FROM turns
    WHERE before IS NULL OR state <> before
)
SELECT
    entity.project, project_id, noteable_type, noteable_iid, spans.state, spans.from_at, spans.to_at,
    entity.confidential, entity.web_url
FROM spans
JOIN entity USING (project_id, noteable_type, noteable_iid);

-- name: merge_request_times
-- When merge requests came how far. Internal notes are left out, so that everybody may see the times.
WITH first_notes AS (
    SELECT notes.project_id, notes.noteable_iid AS iid, MIN(notes.created_at) AS created_at
    FROM gitlab.notes AS notes
    JOIN gitlab.merge_requests AS merge_request
        ON merge_request.project_id = notes.project_id AND merge_request.iid = notes.noteable_iid
    WHERE notes.noteable_type = 'MergeRequest' AND NOT notes.system AND NOT notes.internal
      AND notes.author_id <> merge_request.author_id
    GROUP BY notes.project_id, notes.noteable_iid
),
approvals AS (
    SELECT project_id, iid, MIN(approved_at) AS approved_at
    FROM (
        SELECT project_id, noteable_iid AS iid, created_at AS approved_at
        FROM gitlab.notes
        WHERE noteable_type = 'MergeRequest' AND system AND body = 'approved this merge request'
        UNION ALL
        SELECT project_id, merge_request_iid, approved_at FROM gitlab.approvals
    ) AS told
    GROUP BY project_id, iid
)
SELECT
    merge_request.project, merge_request.project_id, merge_request.iid, merge_request.id,
    merge_request.author_username, merge_request.state,
    merge_request.created_at AS opened_at, first_notes.created_at AS first_note_at,
    approvals.approved_at, merge_request.merged_at, merge_request.closed_at, merge_request.web_url
FROM gitlab.merge_requests AS merge_request
LEFT JOIN first_notes ON first_notes.project_id = merge_request.project_id AND first_notes.iid = merge_request.iid
LEFT JOIN approvals ON approvals.project_id = merge_request.project_id AND approvals.iid = merge_request.iid;
