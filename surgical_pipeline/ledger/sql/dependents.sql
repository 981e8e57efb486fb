-- Dependents of entities. Each dependent of an entity is replaced whole: the claim first, then delete and insert of
-- what was claimed. Parameters $entity_types and $iids, if needed with $dependents, name what was claimed. No insert
-- has an ON CONFLICT: a row that another entity has cannot be taken over.

-- name: claim_dependents
-- Claim the right to replace, unless the ledger has a later fetch; return the claims, each with its previous fetch.
INSERT INTO dependent_fetches (project_id, entity_type, iid, dependent, fetched_at, row_count, source_version, run_id)
SELECT
    $project_id,
    unnest($entity_type::VARCHAR[]),
    unnest($iid::BIGINT[]),
    unnest($dependent::VARCHAR[]),
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($row_count::BIGINT[]),
    unnest($source_version::VARCHAR[]),
    $run_id
ON CONFLICT (project_id, entity_type, iid, dependent) DO UPDATE SET
    fetched_at = excluded.fetched_at,
    replaced_fetched_at = dependent_fetches.fetched_at,
    row_count = excluded.row_count,
    source_version = excluded.source_version,
    run_id = excluded.run_id
WHERE dependent_fetches.fetched_at <= excluded.fetched_at
   OR dependent_fetches.fetched_at > $believed
RETURNING entity_type, iid, dependent, replaced_fetched_at;

-- name: find_records_of_others
-- Those of these notes and events that the ledger has for another entity than GitLab returned them for.
WITH incoming AS (
    SELECT
        unnest($entity_type::VARCHAR[]) AS entity_type,
        unnest($iid::BIGINT[]) AS iid,
        unnest($dependent::VARCHAR[]) AS dependent,
        unnest($record_id::BIGINT[]) AS record_id
),
held AS (
    SELECT
        incoming.*, notes.project_id AS owner_project_id,
        notes.noteable_type AS owner_type, notes.noteable_iid AS owner_iid
    FROM incoming
    JOIN notes ON notes.note_id = incoming.record_id
    WHERE incoming.dependent = 'discussions'
    UNION ALL
    SELECT incoming.*, resource_events.project_id, resource_events.noteable_type, resource_events.noteable_iid
    FROM incoming
    JOIN resource_events
        ON resource_events.event_type = incoming.dependent
        AND resource_events.event_id = incoming.record_id
)
SELECT * FROM held
WHERE owner_project_id <> $project_id OR owner_type <> entity_type OR owner_iid <> iid;

-- name: load_dependent_fetches
-- Which dependents of these entities were fetched, when, with how many rows, and for which state of the entity.
SELECT entity_type, iid, dependent, fetched_at, row_count, source_version
FROM dependent_fetches
WHERE project_id = $project_id
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: load_code_versions
-- Head and target branch of these merge requests, if GitLab reported the head.
SELECT iid, sha, target_branch
FROM entities
WHERE project_id = $project_id
  AND entity_type = 'merge_request'
  AND iid = ANY($iids::BIGINT[])
  AND sha IS NOT NULL;

-- name: delete_discussions
-- All discussions of these entities.
DELETE FROM discussions
WHERE project_id = $project_id
  AND (noteable_type, noteable_iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: insert_discussions
-- Discussions of entities whose old ones were just deleted.
INSERT INTO discussions (
    project_id, noteable_type, noteable_iid, discussion_id, position, individual_note, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($noteable_type::VARCHAR[]),
    unnest($noteable_iid::BIGINT[]),
    unnest($discussion_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    unnest($individual_note::BOOLEAN[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_notes
-- All notes of these entities.
DELETE FROM notes
WHERE project_id = $project_id
  AND (noteable_type, noteable_iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: insert_notes
-- Notes of entities whose old ones were just deleted.
INSERT INTO notes (
    note_id, project_id, noteable_type, noteable_iid, discussion_id, position,
    author, system, internal, created_at, updated_at, run_id, fetched_at, payload)
SELECT
    unnest($note_id::BIGINT[]),
    $project_id,
    unnest($noteable_type::VARCHAR[]),
    unnest($noteable_iid::BIGINT[]),
    unnest($discussion_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    unnest($author::VARCHAR[]),
    unnest($system::BOOLEAN[]),
    unnest($internal::BOOLEAN[]),
    unnest($created_at::TIMESTAMPTZ[]),
    unnest($updated_at::TIMESTAMPTZ[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_resource_events
-- All events of these types of these entities.
DELETE FROM resource_events
WHERE project_id = $project_id
  AND (noteable_type, noteable_iid, event_type) IN (
      SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]), unnest($dependents::VARCHAR[]));

-- name: insert_resource_events
-- Events of entities whose old ones were just deleted.
INSERT INTO resource_events (
    event_type, event_id, project_id, noteable_type, noteable_iid, created_at, run_id, fetched_at, payload)
SELECT
    unnest($event_type::VARCHAR[]),
    unnest($event_id::BIGINT[]),
    $project_id,
    unnest($noteable_type::VARCHAR[]),
    unnest($noteable_iid::BIGINT[]),
    unnest($created_at::TIMESTAMPTZ[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_linked_records
-- All records of these dependents of these entities.
DELETE FROM linked_records
WHERE project_id = $project_id
  AND (entity_type, iid, dependent) IN (
      SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]), unnest($dependents::VARCHAR[]));

-- name: insert_linked_records
-- Records of dependents whose old ones were just deleted.
INSERT INTO linked_records (
    project_id, entity_type, iid, dependent, position, record_id, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($entity_type::VARCHAR[]),
    unnest($iid::BIGINT[]),
    unnest($dependent::VARCHAR[]),
    unnest($position::INTEGER[]),
    unnest($record_id::VARCHAR[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;
