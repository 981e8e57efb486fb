-- Which programs may go on with a ledger that a newer one has migrated.

-- oldest_program: after this migration, only programs that know the schema up to at least this version may read and
-- write. NULL: only those that know the migration itself. Every later migration states it in a line of its own,
-- "-- oldest program: N".
ALTER TABLE schema_migrations ADD COLUMN oldest_program INTEGER;
