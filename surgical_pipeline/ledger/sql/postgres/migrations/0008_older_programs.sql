-- Which programs may go on with a ledger that a newer one has migrated; and a view that only files had until now.

-- oldest_program: after this migration, only programs that know the schema up to at least this version may read and
-- write. NULL: only those that know the migration itself. Every later migration states it in a line of its own,
-- "-- oldest program: N".
ALTER TABLE schema_migrations ADD COLUMN oldest_program INTEGER;

-- What anybody may search: live documents of current projects, neither confidential nor internal, the entity as people
-- write it, and a row for each vector of the present text (model, chunk_index and vector are NULL if there is none).
CREATE VIEW searchable_documents AS
SELECT
    documents.document_id, documents.kind,
    COALESCE(projects.path, documents.project_id::VARCHAR)
        || CASE documents.entity_type WHEN 'issue' THEN '#' ELSE '!' END || documents.iid AS entity,
    documents.title, documents.content, documents.web_url, documents.state, documents.labels, documents.author,
    documents.created_at, documents.updated_at,
    embeddings.model, embeddings.chunk_index, embeddings.vector
FROM documents
LEFT JOIN projects ON projects.project_id = documents.project_id
LEFT JOIN embeddings
    ON embeddings.document_id = documents.document_id AND embeddings.content_hash = documents.content_hash
WHERE documents.deleted_at IS NULL AND projects.superseded_by IS NULL
  AND NOT (documents.confidential OR documents.internal);
