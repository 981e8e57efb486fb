-- The file as a whole. These statements are DuckDB's own; other databases have their own tools for this.

-- name: attach_ledger
-- Open the ledger's file.
ATTACH $path AS ledger;

-- name: attach_ledger_read_only
-- Open it together with other readers.
ATTACH $path AS ledger (READ_ONLY);

-- name: use_ledger
-- Resolve names without a database in the ledger.
USE ledger;

-- name: search_typed_views_first
-- Resolve a reader's names without a schema in the typed views, then in the ledger's tables.
SET search_path = 'ledger.gitlab,ledger.main';

-- name: detach_ledger
-- Close the ledger's file.
DETACH ledger;

-- name: checkpoint_ledger
-- Fold its log in, so that no log is left that the new file would mistake for its own.
CHECKPOINT ledger;

-- name: attach_compacted
-- Make the new file, with blocks as small as a new ledger's.
ATTACH $path AS compacted (BLOCK_SIZE 16384);

-- name: copy_ledger
-- Copy tables with their constraints and rows; rebuild the indexes.
COPY FROM DATABASE ledger TO compacted;

-- name: checkpoint_compacted
-- Fold the new file's log in, so that it needs none.
CHECKPOINT compacted;

-- name: detach_compacted
-- Close the new file.
DETACH compacted;

-- name: read_every_row
-- Number of rows and a fingerprint of each table: reads every block, and each block has a checksum.
SELECT 'schema_migrations' AS table_name, COUNT(*) AS row_count, bit_xor(hash(t)) AS fingerprint
FROM schema_migrations AS t
UNION ALL SELECT 'sync_runs', COUNT(*), bit_xor(hash(t)) FROM sync_runs AS t
UNION ALL SELECT 'sync_run_phases', COUNT(*), bit_xor(hash(t)) FROM sync_run_phases AS t
UNION ALL SELECT 'entity_outcomes', COUNT(*), bit_xor(hash(t)) FROM entity_outcomes AS t
UNION ALL SELECT 'entity_failures', COUNT(*), bit_xor(hash(t)) FROM entity_failures AS t
UNION ALL SELECT 'pruned_failures', COUNT(*), bit_xor(hash(t)) FROM pruned_failures AS t
UNION ALL SELECT 'gitlab_events', COUNT(*), bit_xor(hash(t)) FROM gitlab_events AS t
UNION ALL SELECT 'hook_deliveries', COUNT(*), bit_xor(hash(t)) FROM hook_deliveries AS t
UNION ALL SELECT 'ledger_gitlab', COUNT(*), bit_xor(hash(t)) FROM ledger_gitlab AS t
UNION ALL SELECT 'projects', COUNT(*), bit_xor(hash(t)) FROM projects AS t
UNION ALL SELECT 'entities', COUNT(*), bit_xor(hash(t)) FROM entities AS t
UNION ALL SELECT 'dependent_fetches', COUNT(*), bit_xor(hash(t)) FROM dependent_fetches AS t
UNION ALL SELECT 'discussions', COUNT(*), bit_xor(hash(t)) FROM discussions AS t
UNION ALL SELECT 'notes', COUNT(*), bit_xor(hash(t)) FROM notes AS t
UNION ALL SELECT 'resource_events', COUNT(*), bit_xor(hash(t)) FROM resource_events AS t
UNION ALL SELECT 'linked_records', COUNT(*), bit_xor(hash(t)) FROM linked_records AS t
UNION ALL SELECT 'documents', COUNT(*), bit_xor(hash(t)) FROM documents AS t
UNION ALL SELECT 'vocabulary', COUNT(*), bit_xor(hash(t)) FROM vocabulary AS t
UNION ALL SELECT 'document_words', COUNT(*), bit_xor(hash(t)) FROM document_words AS t
UNION ALL SELECT 'embeddings', COUNT(*), bit_xor(hash(t)) FROM embeddings AS t
ORDER BY table_name;
