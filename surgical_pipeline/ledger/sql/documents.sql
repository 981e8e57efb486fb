-- What documents are rendered from, and the documents.

-- name: load_source_entities
-- These entities, issues first, with their project's path.
SELECT
    entities.entity_type, entities.iid, entities.payload, entities.fetched_at, entities.deleted_at, projects.path
FROM entities
LEFT JOIN projects ON projects.project_id = entities.project_id
WHERE entities.project_id = $project_id
  AND (entities.entity_type, entities.iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY entities.entity_type, entities.iid;

-- name: load_entity_versions
-- When these entities were fetched and tombstoned, and their project's path.
SELECT entities.entity_type, entities.iid, entities.fetched_at, entities.deleted_at, projects.path
FROM entities
LEFT JOIN projects ON projects.project_id = entities.project_id
WHERE entities.project_id = $project_id
  AND (entities.entity_type, entities.iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: load_source_discussions
-- Discussions of these entities in GitLab's order.
SELECT noteable_type AS entity_type, noteable_iid AS iid, discussion_id, payload
FROM discussions
WHERE project_id = $project_id
  AND (noteable_type, noteable_iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY noteable_type, noteable_iid, position, discussion_id;

-- name: load_source_notes
-- Notes of these entities in GitLab's order.
SELECT noteable_type AS entity_type, noteable_iid AS iid, discussion_id, payload
FROM notes
WHERE project_id = $project_id
  AND (noteable_type, noteable_iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY noteable_type, noteable_iid, discussion_id, position, note_id;

-- name: load_source_events
-- Events of these entities in the order in which they happened.
SELECT noteable_type AS entity_type, noteable_iid AS iid, event_type AS dependent, payload
FROM resource_events
WHERE project_id = $project_id
  AND (noteable_type, noteable_iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY created_at NULLS FIRST, event_id;

-- name: load_source_references
-- What these entities are linked to, closed by and close, in GitLab's order.
SELECT entity_type, iid, dependent, payload
FROM linked_records
WHERE project_id = $project_id
  AND dependent IN ('links', 'closed_by', 'closes_issues')
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY entity_type, iid, dependent, position;

-- name: load_complete_documents
-- The live documents of these entities that have vectors of their present text, of any model.
SELECT entity_type, iid, document_id, content_hash
FROM documents
WHERE project_id = $project_id
  AND deleted_at IS NULL
  AND EXISTS (
      SELECT 1 FROM embeddings
      WHERE embeddings.document_id = documents.document_id
        AND embeddings.content_hash = documents.content_hash)
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: upsert_documents
-- Write documents, make them live and return their ids. Labels come joined by the ASCII unit separator.
INSERT INTO documents (
    document_id, kind, project_id, entity_type, iid, discussion_id, title, content, content_hash, web_url,
    state, labels, author, confidential, internal, created_at, updated_at, deleted_at, run_id)
SELECT
    document_id, kind, $project_id, entity_type, iid, discussion_id, title, content, content_hash, web_url,
    state,
    CASE WHEN labels = '' THEN ARRAY[]::VARCHAR[] ELSE string_to_array(labels, chr(31)) END,
    author, confidential, internal, created_at, updated_at, NULL, $run_id
FROM (
    SELECT
        unnest($document_id::VARCHAR[]) AS document_id,
        unnest($kind::VARCHAR[]) AS kind,
        unnest($entity_type::VARCHAR[]) AS entity_type,
        unnest($iid::BIGINT[]) AS iid,
        unnest($discussion_id::VARCHAR[]) AS discussion_id,
        unnest($title::VARCHAR[]) AS title,
        unnest($content::VARCHAR[]) AS content,
        unnest($content_hash::VARCHAR[]) AS content_hash,
        unnest($web_url::VARCHAR[]) AS web_url,
        unnest($state::VARCHAR[]) AS state,
        unnest($labels::VARCHAR[]) AS labels,
        unnest($author::VARCHAR[]) AS author,
        unnest($confidential::BOOLEAN[]) AS confidential,
        unnest($internal::BOOLEAN[]) AS internal,
        unnest($created_at::TIMESTAMPTZ[]) AS created_at,
        unnest($updated_at::TIMESTAMPTZ[]) AS updated_at
) AS incoming
ON CONFLICT (document_id) DO UPDATE SET
    kind = excluded.kind,
    discussion_id = excluded.discussion_id,
    title = excluded.title,
    content = excluded.content,
    content_hash = excluded.content_hash,
    web_url = excluded.web_url,
    state = excluded.state,
    labels = excluded.labels,
    author = excluded.author,
    confidential = excluded.confidential,
    internal = excluded.internal,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    deleted_at = NULL,
    run_id = excluded.run_id
-- A document of another entity is not taken over.
WHERE documents.project_id = excluded.project_id
  AND documents.entity_type = excluded.entity_type
  AND documents.iid = excluded.iid
RETURNING document_id;

-- name: refresh_documents
-- Update what can change without the document's text: its address in GitLab and its updated_at.
UPDATE documents SET web_url = incoming.web_url, updated_at = incoming.updated_at, run_id = $run_id
FROM (
    SELECT
        unnest($document_id::VARCHAR[]) AS document_id,
        unnest($web_url::VARCHAR[]) AS web_url,
        unnest($updated_at::TIMESTAMPTZ[]) AS updated_at
) AS incoming
WHERE documents.document_id = incoming.document_id
  AND (documents.web_url IS DISTINCT FROM incoming.web_url
      OR documents.updated_at IS DISTINCT FROM incoming.updated_at);

-- name: find_stale_documents
-- Live documents that these entities no longer have.
SELECT document_id FROM documents
WHERE project_id = $project_id
  AND deleted_at IS NULL
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
  AND document_id <> ALL($kept_document_ids::VARCHAR[]);

-- name: tombstone_documents
-- Tombstone documents.
UPDATE documents SET deleted_at = $deleted_at, run_id = $run_id
WHERE document_id IN (SELECT unnest($document_ids::VARCHAR[]));
