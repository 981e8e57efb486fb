-- Search on PostgreSQL: candidates by its own text search, which has an index; ranked by the same BM25 as on DuckDB.

-- name: add_to_vocabulary
-- Nothing: a text search needs no list of all words.
SELECT NULL WHERE FALSE;

-- name: index_words
-- Which words these documents hold. A title counts twice, but not that of a discussion, which is its entity's.
INSERT INTO document_words (document_id, length, words)
SELECT
    document_id,
    cardinality(array_remove(regexp_split_to_array(written, '\s+'), '')),
    -- A text search takes at most 1 MB of different words.
    to_tsvector('simple', left(plain_words(written), 200000))
FROM (
    SELECT
        document_id,
        concat_ws(' ', title, CASE WHEN discussion_id IS NULL THEN title END, content) AS written
    FROM documents
    WHERE document_id IN (SELECT unnest($document_ids::VARCHAR[]))
) AS indexed
ORDER BY document_id
ON CONFLICT (document_id) DO UPDATE SET length = excluded.length, words = excluded.words;

-- name: rank_by_words
-- Documents by BM25 of the terms they hold, best first.
WITH given AS (
    SELECT
        unnest($terms::VARCHAR[]) AS term,
        unnest($weights::DOUBLE PRECISION[]) AS weight,
        unnest($endings::INTEGER[]) AS ending
),
terms AS (
    -- A term without blanks between its words, or of nothing but symbols, is counted where it stands, any other as a
    -- word. An identifier is found by its words, which stand one after the other.
    SELECT
        term, weight, ending,
        CASE
            WHEN term ~ '[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]'
                OR btrim(plain_words(term)) = '' THEN 'inside'
            WHEN plain_words(term) = term THEN 'word'
            ELSE 'joined'
        END AS sort
    FROM given
),
asked AS (
    SELECT string_agg(
        CASE sort
            WHEN 'word' THEN quote_literal(term) || CASE WHEN ending > 0 THEN ':*' ELSE '' END
            ELSE '(' || phraseto_tsquery('simple', plain_words(term))::VARCHAR || ')'
        END, ' | ')::TSQUERY AS query
    FROM terms
    WHERE sort <> 'inside'
),
searched AS (
    SELECT document_id, discussion_id, title, content, document_words.length, document_words.words
    FROM matching_documents(
        only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
        updated_since := $since, include_confidential := $include_confidential)
    JOIN document_words USING (document_id)
),
corpus AS (
    SELECT COUNT(*) AS documents, AVG(length)::DOUBLE PRECISION AS mean_length FROM searched
),
candidates AS (
    SELECT searched.*
    FROM searched, asked
    WHERE searched.words @@ asked.query
),
as_words AS (
    -- Of several terms that fit, the longest counts.
    SELECT DISTINCT ON (candidates.document_id, held.lexeme)
        candidates.document_id, terms.term, cardinality(held.positions) AS hits
    FROM candidates
    CROSS JOIN LATERAL unnest(candidates.words) AS held (lexeme, positions, weights)
    JOIN terms
        ON terms.sort = 'word'
        AND starts_with(held.lexeme, terms.term)
        AND length(held.lexeme) - length(terms.term) <= terms.ending
    ORDER BY candidates.document_id, held.lexeme, length(terms.term) DESC
),
as_written AS (
    SELECT
        texts.document_id, terms.term,
        (length(texts.written) - length(replace(texts.written, terms.term, ''))) / length(terms.term) AS hits
    FROM terms
    CROSS JOIN LATERAL (
        SELECT
            document_id,
            lower(concat_ws(' ', title, CASE WHEN discussion_id IS NULL THEN title END, content) COLLATE "und-x-icu")
                AS written
        FROM searched
        WHERE terms.sort = 'inside' OR words @@ phraseto_tsquery('simple', plain_words(terms.term))
    ) AS texts
    WHERE terms.sort <> 'word'
),
frequencies AS (
    SELECT document_id, term, SUM(hits)::DOUBLE PRECISION AS hits
    FROM (SELECT * FROM as_words UNION ALL SELECT * FROM as_written WHERE hits > 0) AS found
    GROUP BY document_id, term
),
rarities AS (
    SELECT term, ln(1 + (corpus.documents - COUNT(*) + 0.5) / (COUNT(*) + 0.5)) AS rarity
    FROM frequencies, corpus
    GROUP BY term, corpus.documents
)
SELECT
    frequencies.document_id,
    SUM(terms.weight * rarities.rarity * hits * 2.2
        / (hits + 1.2 * (0.25 + 0.75 * searched.length / corpus.mean_length))) AS score
FROM frequencies
JOIN terms ON terms.term = frequencies.term
JOIN rarities ON rarities.term = frequencies.term
JOIN searched ON searched.document_id = frequencies.document_id
CROSS JOIN corpus
GROUP BY frequencies.document_id
ORDER BY score DESC, frequencies.document_id
LIMIT $depth::BIGINT;

-- name: find_exact
-- The texts of these documents: what in them matches is found by the caller.
SELECT document_id, ARRAY[title || chr(10) || content] AS matches
FROM documents
WHERE document_id IN (SELECT unnest($document_ids::VARCHAR[]));

-- name: rank_by_meaning
-- Documents by the cosine of their best chunk, best first.
WITH compared AS (
    SELECT document_id, chunk_index, content_hash, cosine
    FROM embeddings
    CROSS JOIN LATERAL (
        -- NULL for a vector of zeros.
        SELECT SUM(own * asked) / NULLIF(sqrt(SUM(own * own)) * sqrt(SUM(asked * asked)), 0) AS cosine
        FROM unnest(vector::DOUBLE PRECISION[], $vector::DOUBLE PRECISION[]) AS pairs (own, asked)
    ) AS measured
    WHERE model = $model AND dimension = $dimension AND cosine IS NOT NULL
),
nearest AS (
    SELECT DISTINCT ON (document_id) document_id, chunk_index, content_hash, cosine
    FROM compared
    ORDER BY document_id, cosine DESC, chunk_index
),
best AS (
    SELECT document_id, chunk_index, content_hash, cosine
    FROM nearest
    WHERE document_id IN (
        SELECT document_id
        FROM matching_documents(
            only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
            updated_since := $since, include_confidential := $include_confidential))
    ORDER BY cosine DESC, document_id
    LIMIT $depth::BIGINT
)
SELECT document_id, best.cosine, best.chunk_index, best.content_hash = documents.content_hash AS current
FROM best
JOIN documents USING (document_id)
ORDER BY best.cosine DESC, document_id;

-- name: use_pgvector
-- A row if the extension is there and this user may use it; its names are then found until the transaction ends.
SELECT set_config('search_path', 'main, ' || quote_ident(nspname), TRUE)
FROM pg_extension
JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'vector' AND has_schema_privilege(extnamespace, 'USAGE');

-- name: rank_by_meaning_by_pgvector
-- The same as rank_by_meaning by the extension pgvector: every vector is compared, too, in a thirtieth of the time.
WITH compared AS (
    SELECT
        document_id, chunk_index, content_hash,
        -- NaN for a vector of zeros, and an error for one of another dimension.
        NULLIF(CASE WHEN dimension = $dimension THEN vector::vector <=> $vector::REAL[]::vector END, 'NaN') AS distance
    FROM embeddings
    WHERE model = $model AND dimension = $dimension
),
nearest AS (
    SELECT DISTINCT ON (document_id) document_id, chunk_index, content_hash, distance
    FROM compared
    WHERE distance IS NOT NULL
    ORDER BY document_id, distance, chunk_index
)
SELECT document_id, 1 - distance AS cosine, chunk_index, nearest.content_hash = matching.content_hash AS current
FROM nearest
JOIN matching_documents(
    only_project := $project_path, only_kind := $kind, only_state := $state, with_labels := $labels,
    updated_since := $since, include_confidential := $include_confidential) AS matching USING (document_id)
ORDER BY distance, document_id
LIMIT $depth::BIGINT;
