-- What the asset checks ask after each run.

-- name: count_rows_outside_scope
-- Rows of each content table that carry the run's stamp, and how many of them belong to no entity it was asked for.
WITH run AS (
    SELECT run_id, project_id FROM sync_runs WHERE run_id = $run_id
),
stamped AS (
    SELECT 'projects' AS table_name, project_id, NULL AS entity_type, NULL AS iid
    FROM projects WHERE run_id = $run_id
    UNION ALL
    SELECT CASE entity_type WHEN 'issue' THEN 'issues' ELSE 'merge_requests' END, project_id, entity_type, iid
    FROM entities WHERE run_id = $run_id
    UNION ALL
    SELECT 'dependent_fetches', project_id, entity_type, iid FROM dependent_fetches WHERE run_id = $run_id
    UNION ALL
    SELECT 'discussions', project_id, noteable_type, noteable_iid FROM discussions WHERE run_id = $run_id
    UNION ALL
    SELECT 'notes', project_id, noteable_type, noteable_iid FROM notes WHERE run_id = $run_id
    UNION ALL
    SELECT 'resource_events', project_id, noteable_type, noteable_iid FROM resource_events WHERE run_id = $run_id
    UNION ALL
    SELECT 'linked_records', project_id, entity_type, iid FROM linked_records WHERE run_id = $run_id
    UNION ALL
    SELECT 'documents', project_id, entity_type, iid FROM documents WHERE run_id = $run_id
    UNION ALL
    SELECT 'embeddings', documents.project_id, documents.entity_type, documents.iid
    FROM embeddings
    LEFT JOIN documents ON documents.document_id = embeddings.document_id
    WHERE embeddings.run_id = $run_id
)
SELECT
    stamped.table_name,
    COUNT(*) AS rows_written,
    COUNT(*) FILTER (
        WHERE run.run_id IS NULL
           OR (stamped.table_name <> 'projects' AND entity_outcomes.run_id IS NULL)) AS rows_outside
FROM stamped
LEFT JOIN run ON run.project_id = stamped.project_id
LEFT JOIN entity_outcomes
    ON entity_outcomes.run_id = run.run_id
    AND entity_outcomes.entity_type = stamped.entity_type
    AND entity_outcomes.iid = stamped.iid
GROUP BY stamped.table_name
ORDER BY stamped.table_name;

-- name: count_dependent_rows
-- How many rows the last fetches of all dependents wrote, and how many there are.
SELECT
    (SELECT COALESCE(SUM(row_count), 0)::BIGINT FROM dependent_fetches) AS written,
    (SELECT COUNT(*) FROM discussions) + (SELECT COUNT(*) FROM notes)
        + (SELECT COUNT(*) FROM resource_events) + (SELECT COUNT(*) FROM linked_records) AS present;

-- name: count_rows_gone_outside_scope
-- Rows of dependents that were written and no longer exist, of entities that the run was not asked for.
SELECT COALESCE(SUM(dependent_fetches.row_count - COALESCE(counted.row_count, 0)), 0)::BIGINT AS gone
FROM dependent_fetches
LEFT JOIN dependent_row_counts AS counted
    ON counted.project_id = dependent_fetches.project_id
    AND counted.entity_type = dependent_fetches.entity_type
    AND counted.iid = dependent_fetches.iid
    AND counted.dependent = dependent_fetches.dependent
WHERE dependent_fetches.row_count > COALESCE(counted.row_count, 0)
  AND NOT EXISTS (
      SELECT 1
      FROM entity_outcomes
      JOIN sync_runs ON sync_runs.run_id = entity_outcomes.run_id
      WHERE entity_outcomes.run_id = $run_id
        AND sync_runs.project_id = dependent_fetches.project_id
        AND entity_outcomes.entity_type = dependent_fetches.entity_type
        AND entity_outcomes.iid = dependent_fetches.iid);

-- name: count_what_is_checked
-- How many rows the other checks examine: finding no violation means little if there was nothing to examine.
SELECT
    (SELECT COUNT(*) FROM (
        SELECT DISTINCT unnest(regenerated_document_ids) FROM entity_outcomes WHERE run_id = $run_id) AS regenerated
    ) AS regenerated_documents,
    (SELECT COUNT(*) FROM embeddings) AS vectors,
    (SELECT COUNT(*) FROM documents WHERE deleted_at IS NULL) AS live_documents;

-- name: list_documents_without_current_embedding
-- Live documents whose text this run wrote and that have no vector of the model for it.
SELECT documents.document_id
FROM documents
WHERE documents.deleted_at IS NULL
  AND documents.run_id = $run_id
  AND documents.document_id IN (
      SELECT unnest(regenerated_document_ids) FROM entity_outcomes WHERE run_id = $run_id)
  AND NOT EXISTS (
      SELECT 1 FROM embeddings
      WHERE embeddings.document_id = documents.document_id
        AND embeddings.model = $model
        AND embeddings.content_hash = documents.content_hash)
ORDER BY documents.document_id;

-- name: list_orphan_vectors
-- Documents that have vectors although they are missing or deleted, and how many vectors each has.
SELECT embeddings.document_id, COUNT(*) AS vectors
FROM embeddings
LEFT JOIN documents ON documents.document_id = embeddings.document_id AND documents.deleted_at IS NULL
WHERE documents.document_id IS NULL
GROUP BY embeddings.document_id
ORDER BY embeddings.document_id;
