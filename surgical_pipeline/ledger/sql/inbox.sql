-- What the receiver of hooks brings over into the inbox.

-- name: insert_events
-- Number the events that are new after those that are there, in their order; gives the new ones' numbers.
INSERT INTO gitlab_events (
    event_key, seq, kind, project_id, project_path, entity_type, iid, occurred_at, sent_at, received_at)
SELECT
    event_key,
    (SELECT COALESCE(MAX(seq), 0) FROM gitlab_events) + ROW_NUMBER() OVER (ORDER BY place),
    kind, project_id, project_path, entity_type, iid, occurred_at, sent_at, received_at
FROM (
    SELECT
        unnest($places::BIGINT[]) AS place,
        unnest($event_keys::VARCHAR[]) AS event_key,
        unnest($kinds::VARCHAR[]) AS kind,
        unnest($project_ids::BIGINT[]) AS project_id,
        unnest($project_paths::VARCHAR[]) AS project_path,
        unnest($entity_types::VARCHAR[]) AS entity_type,
        unnest($iids::BIGINT[]) AS iid,
        unnest($occurred_at::TIMESTAMPTZ[]) AS occurred_at,
        unnest($sent_at::TIMESTAMPTZ[]) AS sent_at,
        unnest($received_at::TIMESTAMPTZ[]) AS received_at
) AS given
WHERE NOT EXISTS (SELECT 1 FROM gitlab_events AS known WHERE known.event_key = given.event_key)
ON CONFLICT (event_key) DO NOTHING
RETURNING seq;

-- name: record_deliveries
-- What a receiver has counted so far.
INSERT INTO hook_deliveries (
    receiver, accepted, ignored, refused_secret, refused_age,
    last_accepted_at, last_refused_secret_at, last_refused_age_at, told_at)
VALUES (
    $receiver, $accepted, $ignored, $refused_secret, $refused_age,
    $last_accepted_at, $last_refused_secret_at, $last_refused_age_at, $now)
ON CONFLICT (receiver) DO UPDATE SET
    accepted = excluded.accepted,
    ignored = excluded.ignored,
    refused_secret = excluded.refused_secret,
    refused_age = excluded.refused_age,
    last_accepted_at = excluded.last_accepted_at,
    last_refused_secret_at = excluded.last_refused_secret_at,
    last_refused_age_at = excluded.last_refused_age_at,
    told_at = excluded.told_at;

-- name: load_deliveries
-- What all receivers have counted.
SELECT
    CAST(COALESCE(SUM(accepted), 0) AS BIGINT) AS accepted,
    CAST(COALESCE(SUM(ignored), 0) AS BIGINT) AS ignored,
    CAST(COALESCE(SUM(refused_secret), 0) AS BIGINT) AS refused_secret,
    CAST(COALESCE(SUM(refused_age), 0) AS BIGINT) AS refused_age,
    MAX(last_accepted_at) AS last_accepted_at,
    MAX(last_refused_secret_at) AS last_refused_secret_at,
    MAX(last_refused_age_at) AS last_refused_age_at
FROM hook_deliveries;
