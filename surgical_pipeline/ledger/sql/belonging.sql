-- Which GitLab the ledger belongs to.

-- name: load_ledger_gitlab
-- Where it is; no row as long as no project told it.
SELECT gitlab_url FROM ledger_gitlab;

-- name: load_creations
-- When GitLab made the projects, as far as they told it; of one project or ($project_id NULL) of all.
SELECT project_id, created_at
FROM projects
WHERE created_at IS NOT NULL AND ($project_id::BIGINT IS NULL OR project_id = $project_id::BIGINT);

-- name: claim_ledger
-- The first to say it is right.
INSERT INTO ledger_gitlab (gitlab_url, known_since, run_id)
VALUES ($gitlab_url, $now, $run_id)
ON CONFLICT (only_row) DO NOTHING;

-- name: rebase_ledger
-- A person knows better.
INSERT INTO ledger_gitlab (gitlab_url, known_since, run_id)
VALUES ($gitlab_url, $now, NULL)
ON CONFLICT (only_row) DO UPDATE SET
    gitlab_url = excluded.gitlab_url,
    known_since = excluded.known_since,
    run_id = NULL;
