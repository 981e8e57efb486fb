-- What must be true of tables that only DuckDB has.

-- name: find_duplicate_words
-- Words of the vocabulary whose number another word has.
SELECT concat_ws(' ', 'vocabulary', word_id) FROM vocabulary GROUP BY word_id HAVING COUNT(*) > 1 ORDER BY 1;
