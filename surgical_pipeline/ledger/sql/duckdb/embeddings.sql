-- Vectors of documents, as DuckDB reads them.

-- name: insert_embeddings
-- Vectors of documents whose old ones were just deleted. They come as a table of their numbers.
INSERT INTO embeddings (document_id, chunk_index, model, content_hash, dimension, vector, embedded_at, run_id)
SELECT document_id, chunk_index, model, content_hash, $dimension, vector, $embedded_at, $run_id
FROM (
    SELECT
        unnest($document_id::VARCHAR[]) AS document_id,
        unnest($chunk_index::INTEGER[]) AS chunk_index,
        unnest($model::VARCHAR[]) AS model,
        unnest($content_hash::VARCHAR[]) AS content_hash,
        unnest(range(len($document_id))) AS "row"
)
JOIN (SELECT "row", list("value" ORDER BY place) AS vector FROM given_vectors GROUP BY "row") USING ("row");
