-- What the asset checks ask, in what DuckDB alone understands.

-- name: list_duplicate_documents
-- Live documents that are not the only one of their kind for their entity or discussion.
SELECT document_id
FROM documents
WHERE deleted_at IS NULL
QUALIFY COUNT(*) OVER (PARTITION BY kind, project_id, entity_type, iid, COALESCE(discussion_id, '')) > 1
ORDER BY document_id;
