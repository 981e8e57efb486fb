-- Projects, issues and merge requests. A row is replaced only by a fresher one: by updated_at, then fetched_at.
-- Equal counts as fresher, so that a write repeated after a kill does the same again.

-- name: upsert_project
-- The project as last fetched.
INSERT INTO projects (project_id, path, run_id, fetched_at, payload)
VALUES ($project_id, $path, $run_id, $fetched_at, $payload::JSON)
ON CONFLICT (project_id) DO UPDATE SET
    path = excluded.path,
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    payload = excluded.payload
WHERE projects.fetched_at <= excluded.fetched_at;

-- name: upsert_issues
-- Write the fresher issues and name them; each is live again unless it was missed after this fetch began.
INSERT INTO issues (
    project_id, iid, gitlab_id, title, state, updated_at, confidential, moved_to_id, run_id, fetched_at, payload)
SELECT
    unnest($project_id::BIGINT[]),
    unnest($iid::BIGINT[]),
    unnest($gitlab_id::BIGINT[]),
    unnest($title::VARCHAR[]),
    unnest($state::VARCHAR[]),
    unnest($updated_at::TIMESTAMPTZ[]),
    unnest($confidential::BOOLEAN[]),
    unnest($moved_to_id::BIGINT[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON
ON CONFLICT (project_id, iid) DO UPDATE SET
    gitlab_id = excluded.gitlab_id,
    title = excluded.title,
    state = excluded.state,
    updated_at = excluded.updated_at,
    confidential = excluded.confidential,
    moved_to_id = excluded.moved_to_id,
    deleted_at = CASE WHEN issues.missed_at > excluded.fetched_at THEN issues.deleted_at END,
    missed_at = CASE WHEN issues.missed_at > excluded.fetched_at THEN issues.missed_at END,
    missed_run_id = CASE WHEN issues.missed_at > excluded.fetched_at THEN issues.missed_run_id END,
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    payload = excluded.payload
WHERE issues.updated_at < excluded.updated_at
   OR (issues.updated_at = excluded.updated_at AND issues.fetched_at <= excluded.fetched_at)
RETURNING iid;

-- name: upsert_merge_requests
-- Write the fresher merge requests and name them; each is live again unless it was missed after this fetch began.
INSERT INTO merge_requests (
    project_id, iid, gitlab_id, title, state, updated_at, confidential,
    sha, target_branch, target_project_id, run_id, fetched_at, payload)
SELECT
    unnest($project_id::BIGINT[]),
    unnest($iid::BIGINT[]),
    unnest($gitlab_id::BIGINT[]),
    unnest($title::VARCHAR[]),
    unnest($state::VARCHAR[]),
    unnest($updated_at::TIMESTAMPTZ[]),
    unnest($confidential::BOOLEAN[]),
    unnest($sha::VARCHAR[]),
    unnest($target_branch::VARCHAR[]),
    unnest($target_project_id::BIGINT[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON
ON CONFLICT (project_id, iid) DO UPDATE SET
    gitlab_id = excluded.gitlab_id,
    title = excluded.title,
    state = excluded.state,
    updated_at = excluded.updated_at,
    confidential = excluded.confidential,
    sha = excluded.sha,
    target_branch = excluded.target_branch,
    target_project_id = excluded.target_project_id,
    deleted_at = CASE WHEN merge_requests.missed_at > excluded.fetched_at THEN merge_requests.deleted_at END,
    missed_at = CASE WHEN merge_requests.missed_at > excluded.fetched_at THEN merge_requests.missed_at END,
    missed_run_id = CASE WHEN merge_requests.missed_at > excluded.fetched_at THEN merge_requests.missed_run_id END,
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    payload = excluded.payload
WHERE merge_requests.updated_at < excluded.updated_at
   OR (merge_requests.updated_at = excluded.updated_at AND merge_requests.fetched_at <= excluded.fetched_at)
RETURNING iid;

-- name: clear_misses_issues
-- Issues that GitLab gave after they were missed, if not fresher than the row: they are there after all.
UPDATE issues SET deleted_at = NULL, missed_at = NULL, missed_run_id = NULL, run_id = $run_id
FROM (
    SELECT
        unnest($project_id::BIGINT[]) AS project_id,
        unnest($iid::BIGINT[]) AS iid,
        unnest($fetched_at::TIMESTAMPTZ[]) AS fetched_at
) AS found
WHERE issues.project_id = found.project_id
  AND issues.iid = found.iid
  AND issues.missed_at <= found.fetched_at;

-- name: clear_misses_merge_requests
-- Merge requests that GitLab gave after they were missed, if not fresher than the row: they are there after all.
UPDATE merge_requests SET deleted_at = NULL, missed_at = NULL, missed_run_id = NULL, run_id = $run_id
FROM (
    SELECT
        unnest($project_id::BIGINT[]) AS project_id,
        unnest($iid::BIGINT[]) AS iid,
        unnest($fetched_at::TIMESTAMPTZ[]) AS fetched_at
) AS found
WHERE merge_requests.project_id = found.project_id
  AND merge_requests.iid = found.iid
  AND merge_requests.missed_at <= found.fetched_at;

-- name: tombstone_issues
-- Live issues that an earlier run had missed already, missed again; and those this run tombstoned itself before.
UPDATE issues SET deleted_at = $missed_at, missed_at = $missed_at, missed_run_id = $run_id, run_id = $run_id
WHERE project_id = $project_id
  AND iid = ANY($iids::BIGINT[])
  AND fetched_at <= $missed_at
  AND missed_at <= $missed_at
  AND (deleted_at IS NULL) = (missed_run_id <> $run_id)
RETURNING iid;

-- name: tombstone_merge_requests
-- Live merge requests that an earlier run had missed already, missed again; and those this run tombstoned before.
UPDATE merge_requests SET deleted_at = $missed_at, missed_at = $missed_at, missed_run_id = $run_id, run_id = $run_id
WHERE project_id = $project_id
  AND iid = ANY($iids::BIGINT[])
  AND fetched_at <= $missed_at
  AND missed_at <= $missed_at
  AND (deleted_at IS NULL) = (missed_run_id <> $run_id)
RETURNING iid;

-- name: mark_missed_issues
-- Live issues that GitLab answered without for the first time.
UPDATE issues SET missed_at = $missed_at, missed_run_id = $run_id, run_id = $run_id
WHERE project_id = $project_id
  AND iid = ANY($iids::BIGINT[])
  AND fetched_at <= $missed_at
  AND missed_at IS NULL;

-- name: mark_missed_merge_requests
-- Live merge requests that GitLab answered without for the first time.
UPDATE merge_requests SET missed_at = $missed_at, missed_run_id = $run_id, run_id = $run_id
WHERE project_id = $project_id
  AND iid = ANY($iids::BIGINT[])
  AND fetched_at <= $missed_at
  AND missed_at IS NULL;

-- name: tombstone_documents_of_entities
-- All live documents of deleted entities, and name them.
UPDATE documents SET deleted_at = $deleted_at, run_id = $run_id
WHERE project_id = $project_id
  AND deleted_at IS NULL
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
RETURNING document_id;
