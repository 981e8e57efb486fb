-- Search. matching_documents, which applies the filters, is a macro of migration 0004.
-- One pass over the texts with one pattern finds all terms: there is no index to keep. The rankings give ids only:
-- a join that carries the texts of 100,000 documents along takes longer than comparing their vectors.

-- name: rank_by_words
-- Documents by BM25 of the terms they hold, best first; a word in the title counts two.
WITH terms AS (
    SELECT
        unnest($terms::VARCHAR[]) AS term,
        unnest($weights::DOUBLE[]) AS weight,
        unnest($endings::INTEGER[]) AS ending
),
searched AS (
    SELECT document_id, title, content, strlen(content) AS bytes
    FROM matching_documents(
        only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
        updated_since := $since, include_confidential := $include_confidential)
),
matched AS (
    SELECT document_id, bytes, unnest(regexp_extract_all(content, $pattern::VARCHAR)) AS word, 1 AS hits FROM searched
    UNION ALL
    SELECT document_id, bytes, unnest(regexp_extract_all(title, $pattern::VARCHAR)) AS word, 2 AS hits FROM searched
),
counted AS (
    SELECT document_id, lower(word) AS word, any_value(bytes) AS bytes, SUM(hits) AS hits
    FROM matched
    GROUP BY document_id, lower(word)
),
known AS (
    -- The character before a word is in the match. Of several terms that fit, the longest is meant.
    SELECT word, max_by(term, length(term)) AS term, max_by(weight, length(term)) AS weight
    FROM (SELECT DISTINCT word FROM counted) AS words
    JOIN terms
        ON (starts_with(word, term) AND length(word) - length(term) <= ending)
        OR (starts_with(substr(word, 2), term) AND length(word) - 1 - length(term) <= ending)
    GROUP BY word
),
frequencies AS (
    SELECT document_id, term, any_value(weight) AS weight, any_value(bytes) AS bytes, SUM(hits) AS hits
    FROM counted
    JOIN known USING (word)
    GROUP BY document_id, term
),
corpus AS (
    SELECT COUNT(*) AS documents, AVG(bytes) AS mean_bytes FROM searched
),
rarities AS (
    SELECT term, ln(1 + (corpus.documents - COUNT(*) + 0.5) / (COUNT(*) + 0.5)) AS rarity
    FROM frequencies, corpus
    GROUP BY term, corpus.documents
)
SELECT
    document_id,
    SUM(weight * rarity * hits * 2.2 / (hits + 1.2 * (0.25 + 0.75 * bytes / mean_bytes))) AS score
FROM frequencies
JOIN rarities USING (term), corpus
GROUP BY document_id
ORDER BY score DESC, document_id
LIMIT $depth::BIGINT;

-- name: rank_by_meaning
-- Documents by the cosine of their best chunk, best first.
WITH compared AS (
    SELECT document_id, chunk_index, content_hash, list_cosine_similarity(vector, $vector::FLOAT[]) AS cosine
    FROM embeddings
    WHERE model = $model AND dimension = $dimension
),
best AS (
    SELECT
        document_id, MAX(cosine) AS score, max_by(chunk_index, cosine) AS chunk_index,
        MIN(content_hash) AS content_hash
    FROM compared
    WHERE cosine < 2 -- not NaN, which a vector of zeros gives
    GROUP BY document_id
)
SELECT best.document_id, best.score, best.chunk_index, best.content_hash = documents.content_hash AS current
FROM best
JOIN matching_documents(
    only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
    updated_since := $since, include_confidential := $include_confidential) AS documents
    ON documents.document_id = best.document_id
ORDER BY best.score DESC, best.document_id
LIMIT $depth::BIGINT;

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
-- These documents with all that is shown of them.
SELECT
    documents.document_id, documents.kind, COALESCE(projects.path, '') AS project_path, documents.project_id,
    documents.entity_type, documents.iid, documents.discussion_id, documents.title, documents.content,
    documents.web_url, documents.state, documents.labels, documents.author, documents.confidential,
    documents.internal, documents.updated_at
FROM documents
LEFT JOIN projects ON projects.project_id = documents.project_id
WHERE documents.document_id = ANY($document_ids::VARCHAR[]);

-- name: count_searchable
-- How many live documents there are, and how many have vectors of the model.
SELECT
    (SELECT COUNT(*) FROM documents WHERE deleted_at IS NULL) AS documents,
    (SELECT COUNT(DISTINCT document_id) FROM embeddings WHERE model = $model) AS embedded;
