-- Where the order of transactions matters, one waits for the other: which query is preceded by which of these is told
-- in ledger/postgres/turns.py. Rows are always locked in the order of their keys, so that no two transactions wait for
-- each other. All of them end with the transaction.

-- name: take_turn
-- Wait until no other transaction has this turn. A number from MAX() + 1 is then given in the order of commits.
SELECT pg_advisory_xact_lock($ledger_turns::INTEGER, $turn::INTEGER);

-- name: take_turn_of_path
-- The same for what has this path.
SELECT pg_advisory_xact_lock($ledger_turns::INTEGER, hashtext(lower($path)));

-- name: lock_project
-- The project, which is about to be written.
SELECT project_id FROM projects WHERE project_id = $project_id FOR NO KEY UPDATE;

-- name: lock_project_of_new
-- The same if it does not have all of these entities yet: nobody else writes the missing ones.
SELECT project_id
FROM projects
WHERE project_id = $project_id AND EXISTS (
    SELECT FROM (SELECT unnest($entity_types::VARCHAR[]) AS entity_type, unnest($iids::BIGINT[]) AS iid) AS given
    WHERE NOT EXISTS (
        SELECT FROM entities
        WHERE entities.project_id = $project_id AND entities.entity_type = given.entity_type
          AND entities.iid = given.iid))
FOR NO KEY UPDATE;

-- name: lock_projects_of_new
-- The same of entities that are about to be written.
SELECT project_id
FROM projects
WHERE project_id IN (
    SELECT given.project_id
    FROM (
        SELECT unnest($project_id::BIGINT[]) AS project_id, unnest($entity_type::VARCHAR[]) AS entity_type,
            unnest($iid::BIGINT[]) AS iid
    ) AS given
    WHERE NOT EXISTS (
        SELECT FROM entities
        WHERE entities.project_id = given.project_id AND entities.entity_type = given.entity_type
          AND entities.iid = given.iid))
ORDER BY project_id
FOR NO KEY UPDATE;

-- name: lock_written_entities
-- Entities that are about to be written.
SELECT iid
FROM entities
WHERE (project_id, entity_type, iid) IN (
    SELECT unnest($project_id::BIGINT[]), unnest($entity_type::VARCHAR[]), unnest($iid::BIGINT[]))
ORDER BY project_id, entity_type, iid
FOR UPDATE;

-- name: lock_entities
-- These entities: what their content is made of does not change until the end.
SELECT iid
FROM entities
WHERE project_id = $project_id
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY entity_type, iid
FOR UPDATE;

-- name: lock_claimed_entities
-- The same of entities whose dependents are about to be replaced.
SELECT iid
FROM entities
WHERE project_id = $project_id
  AND (entity_type, iid) IN (SELECT unnest($entity_type::VARCHAR[]), unnest($iid::BIGINT[]))
ORDER BY entity_type, iid
FOR UPDATE;

-- name: lock_documents_of_entities
-- The documents of these entities: nobody embeds them until the end.
SELECT document_id
FROM documents
WHERE project_id = $project_id
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY document_id
FOR UPDATE;

-- name: lock_documents
-- These documents: their text does not change until the end, and nobody else writes their vectors.
SELECT document_id
FROM documents
WHERE document_id = ANY($document_id::VARCHAR[])
ORDER BY document_id
FOR UPDATE;

-- name: lock_run
-- The run's row, before its outcomes: who ends a run takes them in this order, too.
SELECT run_id FROM sync_runs WHERE run_id = $run_id FOR UPDATE;

-- name: lock_events
-- Pending events of these entities: what became of them is decided by one run after the other.
SELECT event_key
FROM gitlab_events
WHERE state = 'pending'
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]))
ORDER BY event_key
FOR UPDATE;
