-- What hangs on an entity. Each dependent of an entity is replaced whole: the claim first, then delete and insert of
-- what was claimed. Parameters $entity_types and $iids name the claimed entities.

-- name: claim_dependents
-- Take the right to replace, unless the ledger has a later fetch; name what was taken.
INSERT INTO dependent_fetches (project_id, entity_type, iid, dependent, fetched_at, source_version, run_id)
SELECT
    $project_id,
    unnest($entity_type::VARCHAR[]),
    unnest($iid::BIGINT[]),
    unnest($dependent::VARCHAR[]),
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($source_version::VARCHAR[]),
    $run_id
ON CONFLICT (project_id, entity_type, iid, dependent) DO UPDATE SET
    fetched_at = excluded.fetched_at,
    source_version = excluded.source_version,
    run_id = excluded.run_id
WHERE dependent_fetches.fetched_at <= excluded.fetched_at
RETURNING entity_type, iid, dependent;

-- name: load_dependent_fetches
-- What was fetched of these entities, when, and of which state of theirs.
SELECT entity_type, iid, dependent, fetched_at, source_version
FROM dependent_fetches
WHERE project_id = $project_id
  AND (entity_type, iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: load_code_versions
-- Head and target branch of these merge requests, where GitLab told the head.
SELECT iid, sha, target_branch
FROM merge_requests
WHERE project_id = $project_id AND iid = ANY($iids::BIGINT[]) AND sha IS NOT NULL;

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

-- name: upsert_notes
-- Notes of entities whose old ones were just deleted; a note that moved here leaves the entity it was on.
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
    unnest($payload::VARCHAR[])::JSON
ON CONFLICT (note_id) DO UPDATE SET
    project_id = excluded.project_id,
    noteable_type = excluded.noteable_type,
    noteable_iid = excluded.noteable_iid,
    discussion_id = excluded.discussion_id,
    position = excluded.position,
    author = excluded.author,
    system = excluded.system,
    internal = excluded.internal,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    payload = excluded.payload
WHERE notes.fetched_at <= excluded.fetched_at;

-- name: delete_resource_events
-- All events of one type of these entities.
DELETE FROM resource_events
WHERE project_id = $project_id
  AND event_type = $event_type
  AND (noteable_type, noteable_iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: upsert_resource_events
-- Events of entities whose old ones were just deleted; an event that moved here leaves the entity it was on.
INSERT INTO resource_events (
    event_type, event_id, project_id, noteable_type, noteable_iid, created_at, run_id, fetched_at, payload)
SELECT
    $event_type,
    unnest($event_id::BIGINT[]),
    $project_id,
    unnest($noteable_type::VARCHAR[]),
    unnest($noteable_iid::BIGINT[]),
    unnest($created_at::TIMESTAMPTZ[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON
ON CONFLICT (event_type, event_id) DO UPDATE SET
    project_id = excluded.project_id,
    noteable_type = excluded.noteable_type,
    noteable_iid = excluded.noteable_iid,
    created_at = excluded.created_at,
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    payload = excluded.payload
WHERE resource_events.fetched_at <= excluded.fetched_at;

-- name: delete_links
-- Links of issues: all of these entities.
DELETE FROM issue_links WHERE project_id = $project_id AND iid = ANY($iids::BIGINT[]);

-- name: insert_links
-- Links of issues, where the old ones were just deleted.
INSERT INTO issue_links (project_id, iid, record_id, position, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($iid::BIGINT[]),
    unnest($record_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_closed_by
-- Merge requests that close issues: all of these entities.
DELETE FROM issue_closed_by WHERE project_id = $project_id AND iid = ANY($iids::BIGINT[]);

-- name: insert_closed_by
-- Merge requests that close issues, where the old ones were just deleted.
INSERT INTO issue_closed_by (project_id, iid, record_id, position, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($iid::BIGINT[]),
    unnest($record_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_commits
-- Commits of merge requests: all of these entities.
DELETE FROM merge_request_commits WHERE project_id = $project_id AND iid = ANY($iids::BIGINT[]);

-- name: insert_commits
-- Commits of merge requests, where the old ones were just deleted.
INSERT INTO merge_request_commits (project_id, iid, record_id, position, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($iid::BIGINT[]),
    unnest($record_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_diffs
-- Diffs of merge requests: all of these entities.
DELETE FROM merge_request_diffs WHERE project_id = $project_id AND iid = ANY($iids::BIGINT[]);

-- name: insert_diffs
-- Diffs of merge requests, where the old ones were just deleted.
INSERT INTO merge_request_diffs (project_id, iid, record_id, position, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($iid::BIGINT[]),
    unnest($record_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_closes_issues
-- Issues that merge requests close: all of these entities.
DELETE FROM merge_request_closes_issues WHERE project_id = $project_id AND iid = ANY($iids::BIGINT[]);

-- name: insert_closes_issues
-- Issues that merge requests close, where the old ones were just deleted.
INSERT INTO merge_request_closes_issues (project_id, iid, record_id, position, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($iid::BIGINT[]),
    unnest($record_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_approvals
-- The state of approval of merge requests: of all of these entities.
DELETE FROM merge_request_approvals WHERE project_id = $project_id AND iid = ANY($iids::BIGINT[]);

-- name: insert_approvals
-- The state of approval of merge requests, where the old one was just deleted.
INSERT INTO merge_request_approvals (project_id, iid, record_id, position, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($iid::BIGINT[]),
    unnest($record_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;

-- name: delete_award_emoji
-- Emoji on these entities themselves.
DELETE FROM award_emoji
WHERE project_id = $project_id
  AND (noteable_type, noteable_iid) IN (SELECT unnest($entity_types::VARCHAR[]), unnest($iids::BIGINT[]));

-- name: insert_award_emoji
-- Emoji on entities whose old ones were just deleted.
INSERT INTO award_emoji (
    project_id, noteable_type, noteable_iid, record_id, position, run_id, fetched_at, payload)
SELECT
    $project_id,
    unnest($noteable_type::VARCHAR[]),
    unnest($noteable_iid::BIGINT[]),
    unnest($record_id::VARCHAR[]),
    unnest($position::INTEGER[]),
    $run_id,
    unnest($fetched_at::TIMESTAMPTZ[]),
    unnest($payload::VARCHAR[])::JSON;
