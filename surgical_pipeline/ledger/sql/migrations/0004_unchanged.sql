-- What runs need to know about entities that did not change since they were last fetched.

-- unchanged: ingested, and it was as the ledger had it, so its dependents were not fetched. Only in runs that are asked
-- to fetch those of changed entities alone.
ALTER TABLE entity_outcomes ADD COLUMN unchanged BOOLEAN DEFAULT FALSE;

-- same_since: when the first fetch began that brought what the row says, volatile fields aside; later fetches brought
-- the same. Dependents that were fetched before may be older than the row. NULL: fetched_at is that fetch.
ALTER TABLE entities ADD COLUMN same_since TIMESTAMPTZ;
