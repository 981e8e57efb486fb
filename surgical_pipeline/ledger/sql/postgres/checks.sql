-- What the asset checks ask, in PostgreSQL's words.

-- name: list_duplicate_documents
-- Live documents that are not the only one of their kind for their entity or discussion.
SELECT document_id
FROM (
    SELECT
        document_id,
        COUNT(*) OVER (PARTITION BY kind, project_id, entity_type, iid, COALESCE(discussion_id, '')) AS alike
    FROM documents
    WHERE deleted_at IS NULL
) AS counted
WHERE alike > 1
ORDER BY document_id;
