-- Projects, issues and merge requests. A row is replaced only by a fresher one: the WHERE of each upsert says which is.
-- Equal counts as fresher, so that a write repeated after a kill does the same again. $believed is the latest time that
-- a fetch can have begun by now: a later stored time comes from a wrong clock and guards nothing.

-- name: upsert_project
-- The project as last fetched.
INSERT INTO projects (project_id, path, created_at, run_id, fetched_at, payload)
VALUES ($project_id, $path, $created_at, $run_id, $fetched_at, $payload::JSON)
ON CONFLICT (project_id) DO UPDATE SET
    path = excluded.path,
    created_at = COALESCE(projects.created_at, excluded.created_at),
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    payload = excluded.payload
WHERE projects.fetched_at <= excluded.fetched_at
   OR projects.fetched_at > $believed;

-- name: supersede_projects
-- Of the projects with one path, the one fetched last is current; returns those that are no longer current.
UPDATE projects SET superseded_by = NULLIF(latest.project_id, projects.project_id)
FROM (
    SELECT project_id
    FROM projects
    WHERE lower(path) = lower($path)
    ORDER BY fetched_at > $believed, fetched_at DESC, project_id DESC
    LIMIT 1
) AS latest
WHERE lower(projects.path) = lower($path)
  AND projects.superseded_by IS DISTINCT FROM NULLIF(latest.project_id, projects.project_id)
RETURNING projects.project_id, projects.superseded_by;

-- name: upsert_entities
-- Write the fresher entities, return them with what they replaced; revive each unless missed after this fetch began.
INSERT INTO entities (
    project_id, entity_type, iid, gitlab_id, title, state, updated_at, confidential,
    moved_to_id, sha, target_branch, target_project_id, run_id, fetched_at, same_since, payload)
SELECT
    unnest($project_id::BIGINT[]),
    unnest($entity_type::VARCHAR[]),
    unnest($iid::BIGINT[]),
    unnest($gitlab_id::BIGINT[]),
    unnest($title::VARCHAR[]),
    unnest($state::VARCHAR[]),
    unnest($updated_at::TIMESTAMPTZ[]),
    unnest($confidential::BOOLEAN[]),
    unnest($moved_to_id::BIGINT[]),
    unnest($sha::VARCHAR[]),
    unnest($target_branch::VARCHAR[]),
    unnest($target_project_id::BIGINT[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($same_since::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON
ON CONFLICT (project_id, entity_type, iid) DO UPDATE SET
    gitlab_id = excluded.gitlab_id,
    title = excluded.title,
    state = excluded.state,
    updated_at = excluded.updated_at,
    confidential = excluded.confidential,
    moved_to_id = excluded.moved_to_id,
    sha = excluded.sha,
    target_branch = excluded.target_branch,
    target_project_id = excluded.target_project_id,
    deleted_at = CASE
        WHEN entities.missed_at > excluded.fetched_at AND entities.missed_at <= $believed THEN entities.deleted_at END,
    missed_at = CASE
        WHEN entities.missed_at > excluded.fetched_at AND entities.missed_at <= $believed THEN entities.missed_at END,
    missed_run_id = CASE
        WHEN entities.missed_at > excluded.fetched_at AND entities.missed_at <= $believed THEN entities.missed_run_id END,
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    same_since = excluded.same_since,
    replaced_fetched_at = entities.fetched_at,
    replaced_updated_at = entities.updated_at,
    payload = excluded.payload
-- Fresher means fetched later by more than a replica may lag. Closer together: by updated_at, then by fetched_at.
WHERE entities.fetched_at > $believed
   OR excluded.fetched_at > entities.fetched_at + $replica_lag::INTERVAL
   OR (excluded.fetched_at >= entities.fetched_at - $replica_lag::INTERVAL
       AND (entities.updated_at < excluded.updated_at
            OR (entities.updated_at = excluded.updated_at AND entities.fetched_at <= excluded.fetched_at)))
RETURNING entity_type, iid, updated_at, replaced_fetched_at, replaced_updated_at;

-- name: load_live_entities
-- What the ledger has of these entities, but of missed and tombstoned ones.
SELECT entity_type, iid, payload, fetched_at, COALESCE(same_since, fetched_at) AS same_since
FROM entities
WHERE project_id = $project_id
  AND missed_at IS NULL
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: load_current_projects
-- The projects that have their path now.
SELECT project_id, path FROM projects WHERE superseded_by IS NULL ORDER BY project_id;

-- name: load_known_entities
-- Live and missed entities of a project, issues first.
SELECT entity_type, iid FROM entities
WHERE project_id = $project_id AND deleted_at IS NULL
ORDER BY entity_type, iid;

-- name: clear_misses
-- Revive entities that GitLab returned after they were missed, even if not fresher than the row.
UPDATE entities SET deleted_at = NULL, missed_at = NULL, missed_run_id = NULL, run_id = $run_id
FROM (
    SELECT
        unnest($project_id::BIGINT[]) AS project_id,
        unnest($entity_type::VARCHAR[]) AS entity_type,
        unnest($iid::BIGINT[]) AS iid,
        unnest($fetched_at::TIMESTAMPTZ[]) AS fetched_at
) AS found
WHERE entities.project_id = found.project_id
  AND entities.entity_type = found.entity_type
  AND entities.iid = found.iid
  AND (entities.missed_at <= found.fetched_at OR entities.missed_at > $believed);

-- name: tombstone_entities
-- Tombstone live entities that an earlier run had already missed; also returns those that this run tombstoned before.
UPDATE entities SET deleted_at = $missed_at, missed_at = $missed_at, missed_run_id = $run_id, run_id = $run_id
WHERE project_id = $project_id
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
  AND (fetched_at <= $missed_at OR fetched_at > $believed)
  AND (missed_at <= $missed_at OR missed_at > $believed)
  AND (deleted_at IS NULL) = (missed_run_id <> $run_id)
RETURNING entity_type, iid;

-- name: mark_missed
-- Mark live entities that are missing from GitLab's answer for the first time.
UPDATE entities SET missed_at = $missed_at, missed_run_id = $run_id, run_id = $run_id
WHERE project_id = $project_id
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
  AND (fetched_at <= $missed_at OR fetched_at > $believed)
  AND missed_at IS NULL;

-- name: tombstone_documents_of_entities
-- Tombstone all live documents of deleted entities and return their ids.
UPDATE documents SET deleted_at = $deleted_at, run_id = $run_id
WHERE project_id = $project_id
  AND deleted_at IS NULL
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
RETURNING document_id;
