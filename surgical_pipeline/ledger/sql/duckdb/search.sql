-- Search. matching_documents, which applies the filters, and the index of words are in migrations/0002_search.sql. The
-- rankings give ids only: a join that carries the texts of 100,000 documents along takes longer than both.

-- name: add_to_vocabulary
-- The words of these documents that no document had before.
INSERT INTO vocabulary (word_id, word)
SELECT
    (SELECT COALESCE(MAX(word_id), 0) FROM vocabulary) + row_number() OVER (ORDER BY written.word),
    written.word
FROM (
    SELECT DISTINCT unnest(words_of_document(discussion_id, title, content)) AS word
    FROM documents
    WHERE document_id IN (SELECT unnest($document_ids::VARCHAR[]))
) AS written
WHERE written.word <> '' AND written.word NOT IN (SELECT word FROM vocabulary);

-- name: index_words
-- Which words these documents hold.
INSERT INTO document_words (document_id, length, word_ids)
SELECT
    written.document_id, COUNT(vocabulary.word_id),
    COALESCE(list(vocabulary.word_id) FILTER (WHERE vocabulary.word_id IS NOT NULL), [])
FROM (
    SELECT document_id, unnest(words_of_document(discussion_id, title, content)) AS word
    FROM documents
    WHERE document_id IN (SELECT unnest($document_ids::VARCHAR[]))
) AS written
LEFT JOIN vocabulary ON vocabulary.word = written.word
GROUP BY written.document_id
ON CONFLICT (document_id) DO UPDATE SET length = excluded.length, word_ids = excluded.word_ids;

-- name: rank_by_words
-- Documents by BM25 of the terms they hold, best first.
WITH terms AS (
    SELECT
        unnest($terms::VARCHAR[]) AS term,
        unnest($weights::DOUBLE[]) AS weight,
        unnest($endings::INTEGER[]) AS ending
),
found AS (
    SELECT word_id, unnest(regexp_extract_all(word, $pattern::VARCHAR)) AS word FROM vocabulary
),
known AS (
    -- The match includes the character before a word. Of several terms that fit, the longest counts.
    SELECT word, max_by(term, length(term)) AS term, max_by(weight, length(term)) AS weight
    FROM (SELECT DISTINCT word FROM found) AS words
    JOIN terms
        ON (starts_with(word, term) AND length(word) - length(term) <= ending)
        OR (starts_with(substr(word, 2), term) AND length(word) - 1 - length(term) <= ending)
    GROUP BY word
),
meant AS (
    SELECT word_id, term, any_value(weight) AS weight, COUNT(*) AS hits
    FROM found
    JOIN known USING (word)
    GROUP BY word_id, term
),
searched AS (
    SELECT document_id, document_words.rowid AS place, document_words.length
    FROM matching_documents(
        only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
        updated_since := $since, include_confidential := $include_confidential)
    JOIN document_words USING (document_id)
),
occurrences AS (
    -- Use the row's number instead of its key: there are as many rows as words in all texts.
    SELECT rowid AS place, unnest(word_ids) AS word_id FROM document_words
),
summed AS (
    SELECT place, term, any_value(weight) AS weight, SUM(hits) AS hits
    FROM occurrences
    JOIN meant USING (word_id)
    GROUP BY place, term
),
frequencies AS (
    SELECT document_id, term, weight, hits, searched.length
    FROM summed
    JOIN searched USING (place)
),
corpus AS (
    SELECT COUNT(*) AS documents, AVG(length) AS mean_length FROM searched
),
rarities AS (
    SELECT term, ln(1 + (corpus.documents - COUNT(*) + 0.5) / (COUNT(*) + 0.5)) AS rarity
    FROM frequencies, corpus
    GROUP BY term, corpus.documents
)
SELECT
    document_id,
    SUM(weight * rarity * hits * 2.2 / (hits + 1.2 * (0.25 + 0.75 * length / mean_length))) AS score
FROM frequencies
JOIN rarities USING (term), corpus
GROUP BY document_id
ORDER BY score DESC, document_id
LIMIT $depth::BIGINT;

-- name: find_exact
-- What in these documents matches a pattern.
SELECT document_id, list_distinct(regexp_extract_all(title || chr(10) || content, $pattern::VARCHAR)) AS matches
FROM documents
WHERE document_id IN (SELECT unnest($document_ids::VARCHAR[]));

-- name: rank_by_meaning
-- Documents by the cosine of their best chunk, best first.
WITH compared AS (
    SELECT document_id, chunk_index, content_hash, list_cosine_distance(vector, $vector::FLOAT[]) AS distance
    FROM embeddings
    WHERE model = $model AND dimension = $dimension
),
nearest AS (
    -- A vector of zeros has the distance NaN, which DuckDB orders after all numbers.
    SELECT
        document_id, MIN(distance) AS distance, min_by(chunk_index, distance) AS chunk_index,
        MIN(content_hash) AS content_hash
    FROM compared
    GROUP BY document_id
),
best AS (
    SELECT document_id, distance, chunk_index, content_hash
    FROM nearest
    WHERE distance < 3
      AND document_id IN (
          SELECT document_id
          FROM matching_documents(
              only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
              updated_since := $since, include_confidential := $include_confidential))
    ORDER BY distance, document_id
    LIMIT $depth::BIGINT
)
SELECT
    document_id, 1 - best.distance AS cosine, best.chunk_index,
    best.content_hash = documents.content_hash AS current
FROM best
JOIN documents USING (document_id)
ORDER BY best.distance, document_id;
