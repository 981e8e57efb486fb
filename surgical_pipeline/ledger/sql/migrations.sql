-- name: read_schema_version
-- The newest migration that was applied to this file.
SELECT COALESCE(MAX(version), 0) FROM schema_migrations;

-- name: record_migration
-- Record that a migration was applied, in the transaction that applied it.
INSERT INTO schema_migrations (version, name, applied_at) VALUES ($version, $name, $applied_at);

-- name: record_oldest_program
-- And which programs may go on after it, if some do that do not know it.
UPDATE schema_migrations SET oldest_program = $oldest_program WHERE version = $version;

-- name: read_oldest_program
-- Which version a program must know at least to use a ledger that is newer than it.
SELECT MAX(COALESCE(oldest_program, version)) FROM schema_migrations;

-- name: set_migration_time
-- In a copy of a ledger: when the migration was applied there, which is the ledger's name.
UPDATE schema_migrations SET applied_at = $applied_at WHERE version = $version;

-- name: list_migrations
-- All that were applied, and when.
SELECT version, applied_at FROM schema_migrations ORDER BY version;
