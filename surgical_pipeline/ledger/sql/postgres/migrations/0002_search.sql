-- What searches need in addition, on PostgreSQL: its own text search, and the function that applies the filters.

-- Words as the text search takes them: in lower case, without punctuation. Its parser would make addresses, versions
-- and file names of what punctuation joins.
CREATE FUNCTION plain_words(written TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$
    SELECT lower(translate(
        written, $punctuation$!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~$punctuation$, repeat(' ', 32)
    ) COLLATE "und-x-icu")
$body$;

-- The words of a document with their places. length: number of words as they are written, between blanks.
CREATE TABLE document_words (
    document_id VARCHAR  PRIMARY KEY,
    length      INTEGER  NOT NULL,
    words       TSVECTOR NOT NULL
);
CREATE INDEX idx_document_words_words ON document_words USING gin (words);

-- Live documents of current projects that pass the filters of the command line; NULL lets all pass. A discussion has
-- the state and the labels of its entity, and a state of its own (resolved, unresolved).
CREATE FUNCTION matching_documents(
    only_project TEXT DEFAULT NULL, only_kind TEXT DEFAULT NULL, only_state TEXT DEFAULT NULL,
    with_labels TEXT[] DEFAULT NULL, updated_since TIMESTAMPTZ DEFAULT NULL, include_confidential BOOLEAN DEFAULT FALSE
) RETURNS SETOF documents LANGUAGE sql STABLE AS $body$
SELECT documents.*
FROM documents
WHERE documents.deleted_at IS NULL
  AND documents.project_id NOT IN (SELECT projects.project_id FROM projects WHERE projects.superseded_by IS NOT NULL)
  AND (include_confidential OR NOT (documents.confidential OR documents.internal))
  AND (only_kind IS NULL OR documents.kind = only_kind)
  AND (updated_since IS NULL OR documents.updated_at >= updated_since)
  AND (only_project IS NULL OR documents.project_id IN (
      SELECT projects.project_id FROM projects WHERE projects.path = only_project))
  AND (only_state IS NULL
      OR documents.state = only_state
      OR (documents.project_id, documents.entity_type, documents.iid) IN (
          SELECT entity.project_id, entity.entity_type, entity.iid
          FROM documents AS entity
          WHERE entity.discussion_id IS NULL AND entity.deleted_at IS NULL AND entity.state = only_state))
  AND (with_labels IS NULL
      OR (documents.project_id, documents.entity_type, documents.iid) IN (
          SELECT entity.project_id, entity.entity_type, entity.iid
          FROM documents AS entity
          WHERE entity.discussion_id IS NULL AND entity.deleted_at IS NULL AND entity.labels @> with_labels))
$body$;
