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
