-- Vectors of documents.

-- name: load_document_lengths
-- How many characters these documents have.
SELECT document_id, LENGTH(content) AS characters
FROM documents
WHERE document_id = ANY($document_ids::VARCHAR[]);

-- name: load_embedding_candidates
-- Live documents that still have the given hash, and whether the model's vectors of exactly that text exist.
SELECT
    documents.document_id, documents.title, documents.content, documents.content_hash,
    EXISTS (
        SELECT 1 FROM embeddings
        WHERE embeddings.document_id = documents.document_id
          AND embeddings.model = $model
          AND embeddings.content_hash = documents.content_hash
    ) AS current
FROM documents
WHERE documents.deleted_at IS NULL
  AND (documents.document_id, documents.content_hash) IN (
      SELECT unnest($document_id::VARCHAR[]), unnest($content_hash::VARCHAR[]))
ORDER BY documents.document_id;

-- name: load_vectors_of_texts
-- The model's vectors of these texts, of one document each, in the order of their chunks.
SELECT content_hash, vector
FROM embeddings
WHERE model = $model
  AND (content_hash, document_id) IN (
      SELECT content_hash, MIN(document_id)
      FROM embeddings
      WHERE model = $model AND content_hash = ANY($content_hashes::VARCHAR[])
      GROUP BY content_hash)
ORDER BY content_hash, chunk_index;

-- name: load_unchanged_documents
-- Live documents that still have the given hash.
SELECT document_id, content_hash
FROM documents
WHERE deleted_at IS NULL
  AND (document_id, content_hash) IN (SELECT unnest($document_id::VARCHAR[]), unnest($content_hash::VARCHAR[]));

-- name: delete_embeddings
-- All vectors of these documents, of every model.
DELETE FROM embeddings WHERE document_id = ANY($document_ids::VARCHAR[]);

-- name: delete_model_embeddings
-- All vectors of these documents of one model.
DELETE FROM embeddings
WHERE (document_id, model) IN (SELECT unnest($document_id::VARCHAR[]), unnest($model::VARCHAR[]));
