-- What must be true of tables that only DuckDB has.

-- name: find_duplicate_words
-- None: there is no vocabulary.
SELECT NULL WHERE FALSE;
