-- Search: what is shown of documents, and those that a question names. The rankings stand in duckdb/search.sql and
-- postgres/search.sql; matching_documents, which applies the filters, in the migrations.

-- name: list_referenced_documents
-- The documents of entities that a question names, an entity's own before its discussions; '' is any project.
SELECT documents.document_id
FROM (
    SELECT
        unnest($project_paths::VARCHAR[]) AS project_path,
        unnest($entity_types::VARCHAR[]) AS entity_type,
        unnest($iids::BIGINT[]) AS iid,
        unnest($positions::INTEGER[]) AS position
) AS named
JOIN matching_documents(
    only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
    updated_since := $since, include_confidential := $include_confidential) AS documents
    ON documents.entity_type = named.entity_type AND documents.iid = named.iid
LEFT JOIN projects ON projects.project_id = documents.project_id
WHERE documents.discussion_id IS NULL AND named.project_path IN ('', projects.path)
ORDER BY named.position, projects.path, documents.document_id
LIMIT $depth::BIGINT;

-- name: load_hits
-- These documents with everything that a search shows.
SELECT
    documents.document_id, documents.kind, COALESCE(projects.path, '') AS project_path, documents.project_id,
    documents.entity_type, documents.iid, documents.discussion_id, documents.title, documents.content,
    documents.web_url, documents.state, documents.labels, documents.author, documents.confidential,
    documents.internal, documents.updated_at
FROM documents
LEFT JOIN projects ON projects.project_id = documents.project_id
WHERE documents.document_id = ANY($document_ids::VARCHAR[]);

-- name: count_searchable
-- How many documents searches look through, and how many documents have vectors of the model.
SELECT
    (SELECT COUNT(*) FROM matching_documents(include_confidential := TRUE)) AS documents,
    (SELECT COUNT(DISTINCT document_id) FROM embeddings WHERE model = $model) AS embedded;

-- name: list_projects
-- The paths of all current projects.
SELECT path FROM projects WHERE superseded_by IS NULL ORDER BY path;
