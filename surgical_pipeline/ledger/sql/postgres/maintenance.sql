-- The ledger as a whole. Copies of it are made with PostgreSQL's own tools, such as pg_dump.

-- name: read_every_row
-- Number of rows and a fingerprint of each table: reads every row.
SELECT 'schema_migrations' AS table_name, COUNT(*) AS row_count, SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR AS fingerprint
FROM schema_migrations AS t
UNION ALL SELECT 'sync_runs', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM sync_runs AS t
UNION ALL SELECT 'sync_run_phases', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM sync_run_phases AS t
UNION ALL SELECT 'entity_outcomes', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM entity_outcomes AS t
UNION ALL SELECT 'entity_failures', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM entity_failures AS t
UNION ALL SELECT 'pruned_failures', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM pruned_failures AS t
UNION ALL SELECT 'gitlab_events', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM gitlab_events AS t
UNION ALL SELECT 'hook_deliveries', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM hook_deliveries AS t
UNION ALL SELECT 'ledger_gitlab', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM ledger_gitlab AS t
UNION ALL SELECT 'projects', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM projects AS t
UNION ALL SELECT 'entities', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM entities AS t
UNION ALL SELECT 'dependent_fetches', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM dependent_fetches AS t
UNION ALL SELECT 'discussions', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM discussions AS t
UNION ALL SELECT 'notes', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM notes AS t
UNION ALL SELECT 'resource_events', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM resource_events AS t
UNION ALL SELECT 'linked_records', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM linked_records AS t
UNION ALL SELECT 'documents', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM documents AS t
UNION ALL SELECT 'document_words', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM document_words AS t
UNION ALL SELECT 'embeddings', COUNT(*), SUM(hashtextextended(t::VARCHAR, 0))::VARCHAR FROM embeddings AS t
ORDER BY table_name;
