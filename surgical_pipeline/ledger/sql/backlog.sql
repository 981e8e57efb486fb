-- What the embedding backlog asks, of all current projects or ($project_id not NULL) of one.

-- name: find_project
-- The project of this path or id; if two share the path, the current one.
SELECT project_id
FROM projects
WHERE path = $project::VARCHAR OR CAST(project_id AS VARCHAR) = $project::VARCHAR
ORDER BY path <> $project::VARCHAR, superseded_by IS NOT NULL, project_id;

-- name: count_backlog
-- How many live documents have no vectors of the model for their present text.
SELECT COUNT(*)
FROM documents
WHERE deleted_at IS NULL
  AND (project_id = $project_id::BIGINT
      OR ($project_id::BIGINT IS NULL
          AND project_id NOT IN (SELECT projects.project_id FROM projects WHERE superseded_by IS NOT NULL)))
  AND NOT EXISTS (
      SELECT 1 FROM embeddings
      WHERE embeddings.document_id = documents.document_id
        AND embeddings.model = $model
        AND embeddings.content_hash = documents.content_hash);

-- name: load_backlog
-- The next of these documents by id.
SELECT document_id, content_hash
FROM documents
WHERE deleted_at IS NULL
  AND document_id > $after::VARCHAR
  AND (project_id = $project_id::BIGINT
      OR ($project_id::BIGINT IS NULL
          AND project_id NOT IN (SELECT projects.project_id FROM projects WHERE superseded_by IS NOT NULL)))
  AND NOT EXISTS (
      SELECT 1 FROM embeddings
      WHERE embeddings.document_id = documents.document_id
        AND embeddings.model = $model
        AND embeddings.content_hash = documents.content_hash)
ORDER BY document_id
LIMIT $limit::BIGINT;

-- name: list_prunable_documents
-- Documents that have vectors of other models beside those of the model for their present text.
SELECT documents.document_id
FROM documents
WHERE ($project_id::BIGINT IS NULL OR documents.project_id = $project_id::BIGINT)
  AND EXISTS (
      SELECT 1 FROM embeddings
      WHERE embeddings.document_id = documents.document_id
        AND embeddings.model = $model
        AND embeddings.content_hash = documents.content_hash)
  AND EXISTS (
      SELECT 1 FROM embeddings
      WHERE embeddings.document_id = documents.document_id AND embeddings.model <> $model)
ORDER BY documents.document_id
LIMIT $limit::BIGINT;

-- name: delete_embeddings_of_other_models
-- All vectors of these documents except the model's.
DELETE FROM embeddings WHERE document_id = ANY($document_ids::VARCHAR[]) AND model <> $model;
