-- name: read_schema_version
-- The newest migration that this file has had.
SELECT COALESCE(MAX(version), 0) FROM schema_migrations;

-- name: record_migration
-- Note that a migration was applied, in the transaction that applied it.
INSERT INTO schema_migrations (version, name, applied_at) VALUES ($version, $name, $applied_at);
