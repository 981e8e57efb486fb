-- name: read_schema_version
-- The newest migration that was applied to this file.
SELECT COALESCE(MAX(version), 0) FROM schema_migrations;

-- name: record_migration
-- Record that a migration was applied, in the transaction that applied it.
INSERT INTO schema_migrations (version, name, applied_at) VALUES ($version, $name, $applied_at);

-- name: set_migration_time
-- In a copy of a ledger: when the migration was applied there, which is the ledger's name.
UPDATE schema_migrations SET applied_at = $applied_at WHERE version = $version;

-- name: list_migrations
-- All that were applied, and when.
SELECT version, applied_at FROM schema_migrations ORDER BY version;
