-- What must be true of the ledger at any moment. Each find_* query returns a line of text for each violation, none
-- if all is well.

-- name: find_wrong_outcome_counts
-- Ended runs that have more or fewer outcomes than entities they were asked for.
SELECT run_id || ': ' || requested || ' requested, ' || outcomes || ' outcomes'
FROM (
    SELECT sync_runs.run_id, sync_runs.requested, COUNT(entity_outcomes.run_id) AS outcomes
    FROM sync_runs
    LEFT JOIN entity_outcomes ON entity_outcomes.run_id = sync_runs.run_id
    WHERE sync_runs.status IN ('succeeded', 'succeeded_with_warnings', 'failed', 'cancelled')
    GROUP BY sync_runs.run_id, sync_runs.requested
) AS counted
WHERE outcomes <> requested
ORDER BY run_id;

-- name: load_asked_and_answered
-- The scope of each ended run after one, by id, beside the IIDs of its outcomes, ascending, joined by commas.
SELECT
    ended.run_id, ended.scope, ended.requested,
    COALESCE(string_agg(CASE WHEN entity_type = 'issue' THEN iid::VARCHAR END, ',' ORDER BY iid), '') AS issue_iids,
    COALESCE(string_agg(CASE WHEN entity_type = 'merge_request' THEN iid::VARCHAR END, ',' ORDER BY iid), '')
        AS mr_iids
FROM (
    SELECT run_id, scope, requested
    FROM sync_runs
    WHERE status IN ('succeeded', 'succeeded_with_warnings', 'failed', 'cancelled') AND run_id > $after
    ORDER BY run_id
    LIMIT $limit::BIGINT
) AS ended
LEFT JOIN entity_outcomes ON entity_outcomes.run_id = ended.run_id
GROUP BY ended.run_id, ended.scope, ended.requested
ORDER BY ended.run_id;

-- name: find_unfinished_endings
-- Ended runs without a time of their end, or with a stage still open.
SELECT run_id || ' is ' || status || ' without finished_at'
FROM sync_runs
WHERE status IN ('succeeded', 'succeeded_with_warnings', 'failed', 'cancelled') AND finished_at IS NULL
UNION ALL
SELECT sync_runs.run_id || ' is ' || sync_runs.status || ' with ' || sync_run_phases.phase || ' open'
FROM sync_runs
JOIN sync_run_phases ON sync_run_phases.run_id = sync_runs.run_id
WHERE sync_runs.status IN ('succeeded', 'succeeded_with_warnings', 'failed', 'cancelled')
  AND sync_run_phases.finished_at IS NULL
ORDER BY 1;

-- name: find_pending_outcomes
-- Outcomes of ended runs that are neither usable nor failed.
SELECT entity_outcomes.run_id || ' ' || entity_type || ' ' || iid
FROM entity_outcomes
JOIN sync_runs ON sync_runs.run_id = entity_outcomes.run_id
WHERE sync_runs.status IN ('succeeded', 'succeeded_with_warnings', 'failed', 'cancelled')
  AND NOT (entity_outcomes.ingested OR entity_outcomes.stale_skipped OR entity_outcomes.tombstoned)
  AND entity_outcomes.failure_code IS NULL
ORDER BY 1;

-- name: find_disagreeing_failures
-- Entities whose own failure is not the same in entity_outcomes and entity_failures.
SELECT COALESCE(told.run_id, listed.run_id) || ' ' || COALESCE(told.entity_type, listed.entity_type) || ' '
    || COALESCE(told.iid, listed.iid)
FROM (SELECT * FROM entity_outcomes WHERE failure_code IS NOT NULL) AS told
FULL JOIN (SELECT * FROM entity_failures WHERE position = 0) AS listed
    ON listed.run_id = told.run_id AND listed.entity_type = told.entity_type AND listed.iid = told.iid
WHERE told.failure_code IS DISTINCT FROM listed.code
   OR told.failure_message IS DISTINCT FROM listed.message
   OR told.failure_stage IS DISTINCT FROM listed.stage
   OR told.failure_dependent IS DISTINCT FROM listed.dependent
ORDER BY 1;

-- name: find_lost_embeddings
-- Vectors whose document does not exist or is deleted.
SELECT embeddings.document_id || ' chunk ' || chunk_index || ' of ' || model
    || CASE WHEN documents.document_id IS NULL THEN ': no such document' ELSE ': deleted' END
FROM embeddings
LEFT JOIN documents ON documents.document_id = embeddings.document_id
WHERE documents.document_id IS NULL OR documents.deleted_at IS NOT NULL
ORDER BY 1;

-- name: find_leftovers_of_deleted
-- Live documents and vectors of entities that are tombstoned.
SELECT documents.document_id || CASE WHEN documents.deleted_at IS NULL THEN ' is live' ELSE ' has vectors' END
FROM documents
JOIN entities
    ON entities.project_id = documents.project_id
    AND entities.entity_type = documents.entity_type
    AND entities.iid = documents.iid
WHERE entities.deleted_at IS NOT NULL
  AND (documents.deleted_at IS NULL
      OR EXISTS (SELECT 1 FROM embeddings WHERE embeddings.document_id = documents.document_id))
ORDER BY 1;

-- name: find_doubled_documents
-- Entities and discussions with more than one document of a kind.
SELECT project_id || ' ' || entity_type || ' ' || iid || ' ' || kind || ' ' || COALESCE(discussion_id, '')
    || ': ' || MIN(document_id) || ' and ' || MAX(document_id)
FROM documents
GROUP BY project_id, entity_type, iid, kind, discussion_id
HAVING COUNT(*) > 1
ORDER BY 1;

-- name: find_stray_notes
-- Notes whose discussion their entity does not have.
SELECT 'note ' || notes.note_id || ' of ' || notes.noteable_type || ' ' || notes.noteable_iid
FROM notes
LEFT JOIN discussions
    ON discussions.project_id = notes.project_id
    AND discussions.noteable_type = notes.noteable_type
    AND discussions.noteable_iid = notes.noteable_iid
    AND discussions.discussion_id = notes.discussion_id
WHERE discussions.discussion_id IS NULL
ORDER BY 1;

-- name: find_unclaimed_dependents
-- Entities with rows of a dependent that, by dependent_fetches, was never fetched.
SELECT held.dependent || ' of ' || held.entity_type || ' ' || held.iid || ' in project ' || held.project_id
FROM dependent_row_counts AS held
LEFT JOIN dependent_fetches
    ON dependent_fetches.project_id = held.project_id
    AND dependent_fetches.entity_type = held.entity_type
    AND dependent_fetches.iid = held.iid
    AND dependent_fetches.dependent = held.dependent
WHERE dependent_fetches.dependent IS NULL
ORDER BY 1;

-- name: find_miscounted_dependents
-- Dependents that have more or fewer rows than their last fetch wrote.
SELECT dependent_fetches.dependent || ' of ' || dependent_fetches.entity_type || ' ' || dependent_fetches.iid
    || ' in project ' || dependent_fetches.project_id || ': ' || dependent_fetches.row_count || ' written, '
    || COALESCE(counted.row_count, 0) || ' there'
FROM dependent_fetches
LEFT JOIN dependent_row_counts AS counted
    ON counted.project_id = dependent_fetches.project_id
    AND counted.entity_type = dependent_fetches.entity_type
    AND counted.iid = dependent_fetches.iid
    AND counted.dependent = dependent_fetches.dependent
WHERE dependent_fetches.row_count <> COALESCE(counted.row_count, 0)
ORDER BY 1;

-- name: find_wrong_entity_counters
-- Runs whose counters of entities and documents are not what their outcomes add up to.
SELECT run_id || ': ' || name || ' is ' || told || ', the rows say ' || counted
FROM (
    SELECT
        sync_runs.run_id,
        unnest(ARRAY['fetched', 'ingested', 'stale_skipped', 'tombstoned', 'failed',
            'dependents_stale_skipped', 'documents_regenerated', 'documents_embedded + documents_reused']) AS name,
        unnest(ARRAY[
            fetched, ingested, stale_skipped, tombstoned, failed,
            dependents_stale_skipped, documents_regenerated, documents_embedded + documents_reused]) AS told,
        unnest(ARRAY[
            COALESCE(sum_fetched, 0), COALESCE(sum_ingested, 0), COALESCE(sum_stale_skipped, 0),
            COALESCE(sum_tombstoned, 0),
            CASE
                WHEN status IN ('succeeded', 'succeeded_with_warnings', 'failed', 'cancelled') THEN COALESCE(sum_failed, 0)
                ELSE failed
            END,
            COALESCE(sum_dependents_stale_skipped, 0), COALESCE(sum_regenerated, 0), COALESCE(sum_embedded, 0)
        ]) AS counted
    FROM sync_runs
    LEFT JOIN (
        SELECT
            run_id,
            COUNT(CASE WHEN fetched THEN 1 END) AS sum_fetched,
            COUNT(CASE WHEN ingested THEN 1 END) AS sum_ingested,
            COUNT(CASE WHEN stale_skipped THEN 1 END) AS sum_stale_skipped,
            COUNT(CASE WHEN tombstoned THEN 1 END) AS sum_tombstoned,
            COUNT(failure_code) AS sum_failed,
            SUM(cardinality(dependents_stale_skipped)) AS sum_dependents_stale_skipped,
            SUM(cardinality(regenerated_document_ids)) AS sum_regenerated,
            SUM(cardinality(embedded_document_ids)) AS sum_embedded
        FROM entity_outcomes
        GROUP BY run_id
    ) AS outcomes ON outcomes.run_id = sync_runs.run_id
) AS compared
WHERE told <> counted
ORDER BY run_id, name;

-- name: find_wrong_failure_counters
-- Runs whose counters of failures are not what entity_failures and, for warnings_count, the warnings add up to.
SELECT run_id || ': ' || name || ' is ' || told || ', the rows say ' || counted
FROM (
    SELECT
        sync_runs.run_id,
        unnest(ARRAY['dependent_failures', 'warnings_count']) AS name,
        unnest(ARRAY[dependent_failures, warnings_count]) AS told,
        unnest(ARRAY[
            COALESCE(of_dependents, 0),
            CASE
                WHEN status IN ('succeeded', 'succeeded_with_warnings', 'failed', 'cancelled')
                THEN COALESCE(of_all, 0) + COALESCE(sum_warnings, 0)
                ELSE warnings_count
            END]) AS counted
    FROM sync_runs
    LEFT JOIN (
        SELECT
            run_id,
            COUNT(CASE WHEN position > 0 AND stage = 'dependents' THEN 1 END) AS of_dependents,
            COUNT(*) AS of_all
        FROM entity_failures
        GROUP BY run_id
    ) AS failures ON failures.run_id = sync_runs.run_id
    LEFT JOIN (
        SELECT run_id, SUM(json_array_length(warnings)) AS sum_warnings
        FROM entity_outcomes
        GROUP BY run_id
    ) AS outcomes ON outcomes.run_id = sync_runs.run_id
) AS compared
WHERE told <> counted
ORDER BY run_id, name;

-- name: find_doubled_projects
-- Paths shared by several projects that no other project supersedes.
SELECT lower(path) || ': ' || MIN(project_id) || ' and ' || MAX(project_id)
FROM projects
WHERE superseded_by IS NULL
GROUP BY lower(path)
HAVING COUNT(*) > 1
ORDER BY 1;

-- name: list_superseded_projects
-- Projects whose path another one has now, in sentences; no violation, their rows are kept on purpose.
SELECT projects.path || ' was project ' || projects.project_id || ' and is project ' || projects.superseded_by
    || ' now: ' || COUNT(entities.iid)
    || ' issues and merge requests of the older one are kept, and readers leave them out'
FROM projects
LEFT JOIN entities ON entities.project_id = projects.project_id
WHERE projects.superseded_by IS NOT NULL
GROUP BY projects.path, projects.project_id, projects.superseded_by
ORDER BY projects.path, projects.project_id;

-- name: find_duplicate_keys
-- Primary keys that occur twice, in any table: grouped from the rows, because a damaged index would hide them.
SELECT concat_ws(' ', 'schema_migrations', version) FROM schema_migrations
GROUP BY version HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'sync_runs', run_id) FROM sync_runs
GROUP BY run_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'sync_run_phases', run_id, phase) FROM sync_run_phases
GROUP BY run_id, phase HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'entity_outcomes', run_id, entity_type, iid) FROM entity_outcomes
GROUP BY run_id, entity_type, iid HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'entity_failures', run_id, entity_type, iid, position) FROM entity_failures
GROUP BY run_id, entity_type, iid, position HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'pruned_failures', day, code) FROM pruned_failures
GROUP BY day, code HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'gitlab_events', event_key) FROM gitlab_events
GROUP BY event_key HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'hook_deliveries', receiver) FROM hook_deliveries
GROUP BY receiver HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'ledger_gitlab', only_row) FROM ledger_gitlab
GROUP BY only_row HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'projects', project_id) FROM projects
GROUP BY project_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'entities', project_id, entity_type, iid) FROM entities
GROUP BY project_id, entity_type, iid HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'dependent_fetches', project_id, entity_type, iid, dependent) FROM dependent_fetches
GROUP BY project_id, entity_type, iid, dependent HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'discussions', project_id, noteable_type, noteable_iid, discussion_id) FROM discussions
GROUP BY project_id, noteable_type, noteable_iid, discussion_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'notes', note_id) FROM notes
GROUP BY note_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'resource_events', event_type, event_id) FROM resource_events
GROUP BY event_type, event_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'linked_records', project_id, entity_type, iid, dependent, record_id) FROM linked_records
GROUP BY project_id, entity_type, iid, dependent, record_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'documents', document_id) FROM documents
GROUP BY document_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'document_words', document_id) FROM document_words
GROUP BY document_id HAVING COUNT(*) > 1
UNION ALL
SELECT concat_ws(' ', 'embeddings', document_id, chunk_index, model) FROM embeddings
GROUP BY document_id, chunk_index, model HAVING COUNT(*) > 1
ORDER BY 1;
