-- Vectors of documents, as PostgreSQL reads them.

-- name: insert_embeddings
-- Vectors of documents whose old ones were just deleted. A vector comes as the text of an array.
INSERT INTO embeddings (document_id, chunk_index, model, content_hash, dimension, vector, embedded_at, run_id)
SELECT
    unnest($document_id::VARCHAR[]),
    unnest($chunk_index::INTEGER[]),
    unnest($model::VARCHAR[]),
    unnest($content_hash::VARCHAR[]),
    $dimension,
    unnest($vector::VARCHAR[])::REAL[],
    $embedded_at,
    $run_id;
