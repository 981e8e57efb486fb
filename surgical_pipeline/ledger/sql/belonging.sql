-- Which GitLab the ledger belongs to.

-- name: load_ledger_gitlab
-- Where that GitLab is; no row until a project has reported it.
SELECT gitlab_url FROM ledger_gitlab;

-- name: load_creations
-- When GitLab created the projects, where known; of one project or ($project_id NULL) of all.
SELECT project_id, created_at
FROM projects
WHERE created_at IS NOT NULL AND ($project_id::BIGINT IS NULL OR project_id = $project_id::BIGINT);

-- name: claim_ledger
-- Store which GitLab the ledger belongs to; no row if it belongs to one already.
INSERT INTO ledger_gitlab (gitlab_url, known_since, run_id)
VALUES ($gitlab_url, $now, $run_id)
ON CONFLICT (only_row) DO NOTHING
RETURNING gitlab_url;

-- name: rebase_ledger
-- Store another GitLab, on a person's order.
INSERT INTO ledger_gitlab (gitlab_url, known_since, run_id)
VALUES ($gitlab_url, $now, NULL)
ON CONFLICT (only_row) DO UPDATE SET
    gitlab_url = excluded.gitlab_url,
    known_since = excluded.known_since,
    run_id = NULL;
