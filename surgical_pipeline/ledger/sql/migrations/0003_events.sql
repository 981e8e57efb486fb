-- The inbox of events, and what runs need to settle them.

-- number: runs are numbered in the order in which this ledger got to know them. A ledger whose numbers end below one
-- that was seen, or whose run of that number is another, is not the one that was seen, or an older copy of it.
--
-- events_upto: a run that a sensor asked for because of events took those of its scope up to this seq; NULL: it was
-- asked for by something else.
ALTER TABLE sync_runs ADD COLUMN number BIGINT;
ALTER TABLE sync_runs ADD COLUMN events_upto BIGINT;
UPDATE sync_runs SET number = numbered.number
FROM (
    SELECT run_id, ROW_NUMBER() OVER (ORDER BY COALESCE(queued_at, started_at) NULLS FIRST, run_id) AS number
    FROM sync_runs
) AS numbered
WHERE sync_runs.run_id = numbered.run_id;

-- Events of GitLab's hooks, in the order in which they came in (seq, given by the one window that brings them over).
--
-- state     what it means, and how an event gets there
--   pending nothing has brought its entity up to date since it was received   new, dead -> events retry
--   done    a run whose fetch began after it was received did                  pending, by that run's end
--   ignored it asks for nothing that can be fetched, or a person dropped it    pending, dead
--   dead    five runs tried in vain                                            pending, by the fifth run's end
--
-- sent_at: GitLab's time, of signed deliveries alone. attempts: runs that were asked for because of it and ended
-- without bringing its entity up to date; attempted_at: when the last of them ended; reason: why, or why it is ignored.
-- run_id: the run that tried last, or that settled it.
DROP TABLE gitlab_events;
CREATE TABLE gitlab_events (
    event_key    VARCHAR     PRIMARY KEY,
    seq          BIGINT      NOT NULL,
    kind         VARCHAR     NOT NULL,
    project_id   BIGINT      NOT NULL,
    project_path VARCHAR,
    entity_type  VARCHAR     NOT NULL CHECK (entity_type IN ('issue', 'merge_request')),
    iid          BIGINT      NOT NULL,
    occurred_at  TIMESTAMPTZ,
    sent_at      TIMESTAMPTZ,
    received_at  TIMESTAMPTZ NOT NULL,
    state        VARCHAR     NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'ignored', 'dead')),
    attempts     INTEGER     NOT NULL DEFAULT 0,
    attempted_at TIMESTAMPTZ,
    run_id       VARCHAR,
    reason       VARCHAR,
    settled_at   TIMESTAMPTZ,
    CHECK ((state = 'pending') = (settled_at IS NULL))
);
