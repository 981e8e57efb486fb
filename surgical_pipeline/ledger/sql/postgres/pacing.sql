-- When requests to GitLab may begin, for all machines that share the ledger. It is no part of the ledger: nothing in it
-- is worth keeping for longer than an hour, so it has no migration, no copy and no place in a version. Times are
-- seconds since 1970 by the server's clock. key: a hash of GitLab's address and the token. next_starts: the next place
-- of people, of sensors, of backfills.

-- name: find_request_pacing
-- Whether the table is there.
SELECT to_regclass('main.request_pacing') IS NOT NULL;

-- name: make_request_pacing
-- A row for each GitLab and token. Unlogged: it costs no writing ahead, and a crash of the server empties it.
CREATE UNLOGGED TABLE IF NOT EXISTS main.request_pacing (
    key          TEXT COLLATE "C"   PRIMARY KEY,
    paused_until DOUBLE PRECISION   NOT NULL DEFAULT 0,
    gap_seconds  DOUBLE PRECISION   NOT NULL DEFAULT 0,
    spread_until DOUBLE PRECISION   NOT NULL DEFAULT 0,
    next_starts  DOUBLE PRECISION[] NOT NULL DEFAULT '{0,0,0}'
) WITH (fillfactor = 10);

-- name: look_at_request_pacing
-- The times of a token, and the server's time.
SELECT extract(epoch FROM clock_timestamp())::DOUBLE PRECISION, paused_until, gap_seconds, spread_until, next_starts
FROM main.request_pacing
WHERE key = $key;

-- name: add_request_pacing
-- A token that was not known.
INSERT INTO main.request_pacing (key) VALUES ($key) ON CONFLICT (key) DO NOTHING;

-- name: lock_request_pacing
-- The same as a look, and nobody else changes them until the end; the time is that after the wait.
WITH locked AS MATERIALIZED (
    SELECT paused_until, gap_seconds, spread_until, next_starts
    FROM main.request_pacing
    WHERE key = $key
    FOR UPDATE
)
SELECT extract(epoch FROM clock_timestamp())::DOUBLE PRECISION, paused_until, gap_seconds, spread_until, next_starts
FROM locked;

-- name: save_request_pacing
-- The times of a token.
UPDATE main.request_pacing
SET paused_until = $paused_until, gap_seconds = $gap_seconds, spread_until = $spread_until, next_starts = $next_starts
WHERE key = $key;
