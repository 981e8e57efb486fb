-- What became of each entity that a run was asked for.

-- name: insert_pending_outcomes
-- One pending row for each requested entity, from the new run's first moment.
INSERT INTO entity_outcomes (
    run_id, entity_type, iid, dependents_stale_skipped, regenerated_document_ids, embedded_document_ids)
SELECT
    $run_id, unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]),
    ARRAY[]::VARCHAR[], ARRAY[]::VARCHAR[], ARRAY[]::VARCHAR[];

-- name: add_pending_outcomes
-- The same for a run that may have some of them.
INSERT INTO entity_outcomes (
    run_id, entity_type, iid, dependents_stale_skipped, regenerated_document_ids, embedded_document_ids)
SELECT
    $run_id, unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]),
    ARRAY[]::VARCHAR[], ARRAY[]::VARCHAR[], ARRAY[]::VARCHAR[]
ON CONFLICT (run_id, entity_type, iid) DO NOTHING;

-- name: delete_outcomes_outside_scope
-- A queued run starts with another scope than it was queued with: delete what it does not ask for.
DELETE FROM entity_outcomes
WHERE run_id = $run_id AND (entity_type, iid) NOT IN (
    SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: load_outcomes
-- Outcomes of a run, of all its entities or of these, issues before merge requests.
SELECT * FROM entity_outcomes
WHERE run_id = $run_id
  AND ($all OR (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[])))
ORDER BY entity_type, iid;

-- name: load_failures
-- Failures of a run's entities, of all of them or of these, each entity's own first.
SELECT * FROM entity_failures
WHERE run_id = $run_id
  AND ($all OR (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[])))
ORDER BY entity_type, iid, position;

-- name: update_outcomes
-- Replace outcomes whole. Lists of names and ids come joined by the ASCII unit separator.
UPDATE entity_outcomes SET
    fetched = incoming.fetched,
    ingested = incoming.ingested,
    stale_skipped = incoming.stale_skipped,
    tombstoned = incoming.tombstoned,
    unchanged = incoming.unchanged,
    settled = incoming.settled,
    moved_to_id = incoming.moved_to_id,
    failure_code = incoming.failure_code,
    failure_message = incoming.failure_message,
    failure_stage = incoming.failure_stage,
    failure_dependent = incoming.failure_dependent,
    dependents_stale_skipped = CASE WHEN incoming.dependents_stale_skipped = ''
        THEN ARRAY[]::VARCHAR[] ELSE string_to_array(incoming.dependents_stale_skipped, chr(31)) END,
    warnings = incoming.warnings::JSON,
    regenerated_document_ids = CASE WHEN incoming.regenerated = ''
        THEN ARRAY[]::VARCHAR[] ELSE string_to_array(incoming.regenerated, chr(31)) END,
    embedded_document_ids = CASE WHEN incoming.embedded = ''
        THEN ARRAY[]::VARCHAR[] ELSE string_to_array(incoming.embedded, chr(31)) END
FROM (
    SELECT
        unnest($entity_type::VARCHAR[]) AS entity_type,
        unnest($iid::BIGINT[]) AS iid,
        unnest($fetched::BOOLEAN[]) AS fetched,
        unnest($ingested::BOOLEAN[]) AS ingested,
        unnest($stale_skipped::BOOLEAN[]) AS stale_skipped,
        unnest($tombstoned::BOOLEAN[]) AS tombstoned,
        unnest($unchanged::BOOLEAN[]) AS unchanged,
        unnest($settled::BOOLEAN[]) AS settled,
        unnest($moved_to_id::BIGINT[]) AS moved_to_id,
        unnest($failure_code::VARCHAR[]) AS failure_code,
        unnest($failure_message::VARCHAR[]) AS failure_message,
        unnest($failure_stage::VARCHAR[]) AS failure_stage,
        unnest($failure_dependent::VARCHAR[]) AS failure_dependent,
        unnest($dependents_stale_skipped::VARCHAR[]) AS dependents_stale_skipped,
        unnest($warnings::VARCHAR[]) AS warnings,
        unnest($regenerated::VARCHAR[]) AS regenerated,
        unnest($embedded::VARCHAR[]) AS embedded
) AS incoming
WHERE entity_outcomes.run_id = $run_id
  AND entity_outcomes.entity_type = incoming.entity_type
  AND entity_outcomes.iid = incoming.iid;

-- name: delete_failures
-- Delete the failures of some entities of a run.
DELETE FROM entity_failures
WHERE run_id = $run_id AND (entity_type, iid) IN (
    SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: insert_failures
-- Failures of entities of a run, with the project as the run knows it, but for those of who ended the run meanwhile.
INSERT INTO entity_failures (
    run_id, project_id, project_path, entity_type, iid, position, stage, dependent, code, message, retryable)
SELECT
    sync_runs.run_id, sync_runs.project_id, sync_runs.project_path,
    incoming.entity_type, incoming.iid, incoming.position,
    incoming.stage, incoming.dependent, incoming.code, incoming.message, incoming.retryable
FROM (
    SELECT
        unnest($entity_type::VARCHAR[]) AS entity_type,
        unnest($iid::BIGINT[]) AS iid,
        unnest($position::INTEGER[]) AS position,
        unnest($stage::VARCHAR[]) AS stage,
        unnest($dependent::VARCHAR[]) AS dependent,
        unnest($code::VARCHAR[]) AS code,
        unnest($message::VARCHAR[]) AS message,
        unnest($retryable::BOOLEAN[]) AS retryable
) AS incoming
CROSS JOIN sync_runs
WHERE sync_runs.run_id = $run_id
ON CONFLICT (run_id, entity_type, iid, position) DO NOTHING;
