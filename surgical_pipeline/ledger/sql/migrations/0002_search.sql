-- What searches need in addition, on DuckDB only. First an index of words, so that a search need not read every text:
-- it is made only from the documents' titles and texts, in the transaction that writes them. Then a view and macros for
-- people who work in DuckDB, which hold no data; `surgical-pipeline search` takes its filters from matching_documents.

-- Each word ever written, in lower case: what stands between blanks, so "v1.2," is one. Words of texts that no
-- longer exist stay. No key: the ledger has one writer at a time, who adds only what is missing.
CREATE TABLE vocabulary (
    word_id INTEGER NOT NULL,
    word    VARCHAR NOT NULL
);

-- The words of a document, with the number of times each occurs. length: number of words.
CREATE TABLE document_words (
    document_id VARCHAR   PRIMARY KEY,
    length      INTEGER   NOT NULL,
    word_ids    INTEGER[] NOT NULL
);

CREATE MACRO words_as_written(written) AS
string_split(replace(replace(replace(lower(written), chr(10), ' '), chr(13), ' '), chr(9), ' '), ' ');

-- A title counts twice, but not that of a discussion, which is its entity's. Empty words are no words.
CREATE MACRO words_of_document(discussion_id, title, content) AS
words_as_written(concat_ws(' ', title, CASE WHEN discussion_id IS NULL THEN title END, content));

-- Live documents of current projects that pass the filters of the command line; NULL lets all pass. A discussion has
-- the state and the labels of its entity, and a state of its own (resolved, unresolved).
CREATE MACRO matching_documents(
    only_project := NULL, only_kind := NULL, only_state := NULL, with_labels := NULL, updated_since := NULL,
    include_confidential := FALSE
) AS TABLE
SELECT documents.*
FROM documents
WHERE documents.deleted_at IS NULL
  AND documents.project_id NOT IN (SELECT projects.project_id FROM projects WHERE projects.superseded_by IS NOT NULL)
  AND (include_confidential OR NOT (documents.confidential OR documents.internal))
  AND (only_kind::VARCHAR IS NULL OR documents.kind = only_kind::VARCHAR)
  AND (updated_since::TIMESTAMPTZ IS NULL OR documents.updated_at >= updated_since::TIMESTAMPTZ)
  AND (only_project::VARCHAR IS NULL OR documents.project_id IN (
      SELECT projects.project_id FROM projects WHERE projects.path = only_project::VARCHAR))
  AND (only_state::VARCHAR IS NULL
      OR documents.state = only_state::VARCHAR
      OR (documents.project_id, documents.entity_type, documents.iid) IN (
          SELECT (entity.project_id, entity.entity_type, entity.iid)
          FROM documents AS entity
          WHERE entity.discussion_id IS NULL AND entity.deleted_at IS NULL AND entity.state = only_state::VARCHAR))
  AND (with_labels::VARCHAR[] IS NULL
      OR (documents.project_id, documents.entity_type, documents.iid) IN (
          SELECT (entity.project_id, entity.entity_type, entity.iid)
          FROM documents AS entity
          WHERE entity.discussion_id IS NULL AND entity.deleted_at IS NULL
            AND list_has_all(entity.labels, with_labels::VARCHAR[])));

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

-- A simpler version of the command's search: documents that hold words of the question, as they are written, ranked
-- by BM25; with a vector of the question, fused with the ranking by cosine. Vectors of another length are not compared.
CREATE MACRO search_documents(question, question_vector := NULL) AS TABLE
WITH asked AS (
    SELECT DISTINCT unnest(regexp_extract_all(lower(question), '[\p{L}\p{N}]+')) AS word
),
holding AS (
    SELECT word_id, unnest(regexp_extract_all(word, '[\p{L}\p{N}]+')) AS word FROM vocabulary
),
meant AS (
    SELECT word_id, word, COUNT(*) AS hits FROM holding JOIN asked USING (word) GROUP BY word_id, word
),
searched AS (
    SELECT document_id, length FROM matching_documents() JOIN document_words USING (document_id)
),
occurrences AS (
    SELECT document_id, unnest(word_ids) AS word_id FROM document_words
),
summed AS (
    SELECT document_id, word, SUM(hits) AS hits FROM occurrences JOIN meant USING (word_id) GROUP BY document_id, word
),
frequencies AS (
    SELECT document_id, word, hits, length FROM summed JOIN searched USING (document_id)
),
corpus AS (
    SELECT COUNT(*) AS total, AVG(length) AS mean FROM searched
),
rarity AS (
    SELECT word, ln(1 + (total - COUNT(*) + 0.5) / (COUNT(*) + 0.5)) AS idf
    FROM frequencies, corpus
    GROUP BY word, total
),
by_words AS (
    SELECT document_id, SUM(idf * hits * 2.2 / (hits + 1.2 * (0.25 + 0.75 * length / mean))) AS words_score
    FROM frequencies
    JOIN rarity USING (word), corpus
    GROUP BY document_id
),
by_meaning AS (
    SELECT document_id, MAX(list_cosine_similarity(vector, question_vector::FLOAT[])) AS cosine
    FROM embeddings
    WHERE question_vector::FLOAT[] IS NOT NULL AND dimension = len(question_vector::FLOAT[])
    GROUP BY document_id
),
found AS (
    SELECT
        documents.document_id, documents.kind, documents.entity_type, documents.iid, documents.project_id,
        documents.title, documents.web_url, documents.state, by_words.words_score, by_meaning.cosine
    FROM matching_documents() AS documents
    LEFT JOIN by_words ON by_words.document_id = documents.document_id
    LEFT JOIN by_meaning ON by_meaning.document_id = documents.document_id
    WHERE by_words.words_score IS NOT NULL OR by_meaning.cosine IS NOT NULL
),
ranked AS (
    SELECT
        found.*,
        row_number() OVER (ORDER BY words_score DESC NULLS LAST, document_id) AS words_rank,
        row_number() OVER (ORDER BY cosine DESC NULLS LAST, document_id) AS meaning_rank
    FROM found
)
SELECT
    CASE WHEN words_score IS NULL THEN 0 ELSE 1.25 / (1 + words_rank) END
        + CASE WHEN cosine IS NULL THEN 0 ELSE 1 / (1 + meaning_rank) END AS score,
    COALESCE(projects.path, ranked.project_id::VARCHAR)
        || CASE ranked.entity_type WHEN 'issue' THEN '#' ELSE '!' END || ranked.iid AS entity,
    ranked.document_id, ranked.kind, ranked.title, ranked.web_url, ranked.state, ranked.words_score, ranked.cosine
FROM ranked
LEFT JOIN projects ON projects.project_id = ranked.project_id
ORDER BY score DESC, ranked.document_id;
