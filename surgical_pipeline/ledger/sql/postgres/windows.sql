-- Transactions on PostgreSQL. What is written here has no parameters, and goes to the server as it stands.

-- name: begin_write
-- A transaction in which each statement sees what was committed before it; the time by the server's clock.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: begin_read
-- A transaction in which all statements see the same moment.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: look_at_ledger
-- The server's time, whether there is a ledger, and whether it has the typed views, which this user may not see.
SELECT
    clock_timestamp(),
    to_regclass('main.schema_migrations') IS NOT NULL,
    EXISTS (SELECT FROM pg_class WHERE relname = 'all_issues' AND relnamespace = to_regnamespace('gitlab'));

-- name: find_stranger_to_views
-- Something in the schema of the typed views, if somebody else made that schema.
SELECT relname
FROM pg_class
WHERE relnamespace = to_regnamespace('gitlab')
  AND COALESCE(obj_description(relnamespace, 'pg_namespace'), '') NOT LIKE 'Typed views of the ledger %'
ORDER BY relname
LIMIT 1;

-- name: lock_version
-- Wait until no window is open that has looked at the schema's version, and let none begin before the end.
LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE;

-- name: commit_window
-- Keep all of it.
COMMIT;

-- name: roll_back_window
-- Keep nothing of it.
ROLLBACK;

-- name: find_ledger_schema
-- Whether somebody has made the schema for the ledger's tables, with or without tables in it.
SELECT to_regnamespace('main') IS NOT NULL;

-- name: make_ledger_schema
-- Where the ledger's tables are: apart from those of others in this database, such as Dagster's.
CREATE SCHEMA main;

-- name: measure_ledger
-- Bytes of the ledger's tables with their indexes.
SELECT COALESCE(SUM(pg_total_relation_size(oid)), 0)::BIGINT
FROM pg_class
WHERE relnamespace = to_regnamespace('main') AND relkind = 'r';

-- name: search_typed_views_first
-- Resolve a reader's names without a schema in the typed views, then in the ledger's tables; until the transaction ends.
SET LOCAL search_path = gitlab, main;
