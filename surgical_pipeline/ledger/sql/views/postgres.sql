-- The typed views, which `make views` makes from surgical_pipeline/dataset/tables: do not change this file by
-- hand. They hold no data, and are made anew whenever a ledger is migrated.

-- The schema stays, with what others were granted in it.
CREATE SCHEMA IF NOT EXISTS gitlab;

COMMENT ON SCHEMA gitlab IS 'Typed views of the ledger in the schema main, made by surgical-pipeline';

DO $body$
DECLARE
    one NAME;
BEGIN
    FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'gitlab'::REGNAMESPACE AND relkind = 'v' LOOP
        EXECUTE format('DROP VIEW IF EXISTS gitlab.%I CASCADE', one);
    END LOOP;
END
$body$;

-- What a text of a payload says, as another type; NULL if it says nothing of that type. The planner puts these
-- expressions into the query, so no function is called. No exception is caught: that would forbid parallel plans. Of
-- digits there are ten: \d also means those of other scripts, which cannot be cast.

CREATE OR REPLACE FUNCTION gitlab.integer_of(written TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN written COLLATE "C" ~ '^-?[0-9]{1,18}$' THEN written::BIGINT
    WHEN written COLLATE "C" ~ '^ *[-+]?[0-9]{1,18}([.][0-9]*)? *$' THEN round(written::DOUBLE PRECISION)::BIGINT
END;

CREATE OR REPLACE FUNCTION gitlab.boolean_of(written TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN lower(written) IN ('true', 'false', 't', 'f', 'yes', 'no', 'y', 'n', '1', '0') THEN written::BOOLEAN
END;

-- The date that a text begins with. Only from the 29th on it matters which month it is.
CREATE OR REPLACE FUNCTION gitlab.leading_day(written TEXT) RETURNS DATE LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN written COLLATE "C" !~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])' OR left(written, 4) = '0000' THEN NULL
    WHEN substr(written, 9, 2) <= '28' THEN left(written, 10)::DATE
    WHEN substr(written, 9, 2)
        <= to_char((left(written, 8) || '01')::DATE + INTERVAL '1 month' - INTERVAL '1 day', 'DD')
        THEN left(written, 10)::DATE
END;

-- Without a zone it is in UTC.
CREATE OR REPLACE FUNCTION gitlab.time_of(written TEXT) RETURNS TIMESTAMPTZ LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN substr(written, 11) COLLATE "C"
        ~ '^[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?(Z| ?UTC|[-+](0[0-9]|1[0-5])(:?[0-5][0-9])?)$'
        THEN CASE WHEN gitlab.leading_day(written) IS NOT NULL THEN written::TIMESTAMPTZ END
    WHEN substr(written, 11) COLLATE "C" ~ '^([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?)?$'
        THEN CASE WHEN gitlab.leading_day(written) IS NOT NULL THEN written::TIMESTAMP AT TIME ZONE 'UTC' END
END;

CREATE OR REPLACE FUNCTION gitlab.day_of(written TEXT) RETURNS DATE LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN length(written) = 10 OR gitlab.time_of(written) IS NOT NULL THEN gitlab.leading_day(written)
END;

-- Each row: an issue.
CREATE VIEW gitlab.all_issues AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.gitlab_id AS "id",
    record.iid AS "iid",
    record.title AS "title",
    record.state AS "state",
    record.field_description AS "description",
    gitlab.time_of(record.field_created_at) AS "created_at",
    record.updated_at AS "updated_at",
    gitlab.time_of(record.field_closed_at) AS "closed_at",
    gitlab.integer_of((record.field_closed_by ->> 'id')) AS "closed_by_id",
    (record.field_closed_by ->> 'username') AS "closed_by_username",
    gitlab.integer_of((record.field_author ->> 'id')) AS "author_id",
    (record.field_author ->> 'username') AS "author_username",
    (record.field_author ->> 'name') AS "author_name",
    CASE WHEN cardinality(CASE WHEN json_typeof(record.field_assignees) = 'array' THEN ARRAY(SELECT (told.one ->> 'username') FROM json_array_elements(record.field_assignees) AS told (one)) END) > 0 OR (record.field_assignee ->> 'username') IS NULL THEN CASE WHEN json_typeof(record.field_assignees) = 'array' THEN ARRAY(SELECT (told.one ->> 'username') FROM json_array_elements(record.field_assignees) AS told (one)) END ELSE ARRAY[(record.field_assignee ->> 'username')] END AS "assignees",
    CASE WHEN json_typeof(record.field_labels) = 'array' THEN ARRAY(SELECT COALESCE(told.one ->> 'name', CASE WHEN json_typeof(told.one) = 'string' THEN told.one #>> '{}' END) FROM json_array_elements(record.field_labels) AS told (one)) END AS "labels",
    gitlab.integer_of((record.field_milestone ->> 'id')) AS "milestone_id",
    gitlab.integer_of((record.field_milestone ->> 'iid')) AS "milestone_iid",
    (record.field_milestone ->> 'title') AS "milestone_title",
    (record.field_milestone ->> 'state') AS "milestone_state",
    gitlab.day_of((record.field_milestone ->> 'start_date')) AS "milestone_start_date",
    gitlab.day_of((record.field_milestone ->> 'due_date')) AS "milestone_due_date",
    gitlab.integer_of(record.field_upvotes) AS "upvotes",
    gitlab.integer_of(record.field_downvotes) AS "downvotes",
    gitlab.integer_of(record.field_user_notes_count) AS "user_notes_count",
    gitlab.boolean_of(record.field_discussion_locked) AS "discussion_locked",
    gitlab.integer_of((record.field_time_stats ->> 'time_estimate')) AS "time_stats_time_estimate",
    gitlab.integer_of((record.field_time_stats ->> 'total_time_spent')) AS "time_stats_total_time_spent",
    gitlab.integer_of((record.field_task_completion_status ->> 'count')) AS "task_completion_status_count",
    gitlab.integer_of((record.field_task_completion_status ->> 'completed_count')) AS "task_completion_status_completed_count",
    (record.field_references ->> 'full') AS "references_full",
    record.field_web_url AS "web_url",
    record.confidential AS "confidential",
    record.field_issue_type AS "issue_type",
    record.field_severity AS "severity",
    gitlab.day_of(record.field_due_date) AS "due_date",
    gitlab.integer_of(record.field_weight) AS "weight",
    record.field_health_status AS "health_status",
    gitlab.integer_of(record.field_merge_requests_count) AS "merge_requests_count",
    gitlab.integer_of(record.field_blocking_issues_count) AS "blocking_issues_count",
    gitlab.boolean_of(record.field_has_tasks) AS "has_tasks",
    gitlab.integer_of((record.field_epic ->> 'id')) AS "epic_id",
    gitlab.integer_of((record.field_epic ->> 'iid')) AS "epic_iid",
    (record.field_epic ->> 'title') AS "epic_title",
    gitlab.integer_of((record.field_iteration ->> 'id')) AS "iteration_id",
    gitlab.day_of((record.field_iteration ->> 'start_date')) AS "iteration_start_date",
    gitlab.day_of((record.field_iteration ->> 'due_date')) AS "iteration_due_date",
    record.moved_to_id AS "moved_to_id",
    record.field_service_desk_reply_to AS "service_desk_reply_to",
    gitlab.boolean_of(record.field_imported) AS "imported",
    record.field_imported_from AS "imported_from",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."description" AS field_description, fields."created_at" AS field_created_at, fields."closed_at" AS field_closed_at, fields."closed_by" AS field_closed_by, fields."author" AS field_author, fields."assignees" AS field_assignees, fields."assignee" AS field_assignee, fields."labels" AS field_labels, fields."milestone" AS field_milestone, fields."upvotes" AS field_upvotes, fields."downvotes" AS field_downvotes, fields."user_notes_count" AS field_user_notes_count, fields."discussion_locked" AS field_discussion_locked, fields."time_stats" AS field_time_stats, fields."task_completion_status" AS field_task_completion_status, fields."references" AS field_references, fields."web_url" AS field_web_url, fields."issue_type" AS field_issue_type, fields."severity" AS field_severity, fields."due_date" AS field_due_date, fields."weight" AS field_weight, fields."health_status" AS field_health_status, fields."merge_requests_count" AS field_merge_requests_count, fields."blocking_issues_count" AS field_blocking_issues_count, fields."has_tasks" AS field_has_tasks, fields."epic" AS field_epic, fields."iteration" AS field_iteration, fields."service_desk_reply_to" AS field_service_desk_reply_to, fields."imported" AS field_imported, fields."imported_from" AS field_imported_from FROM (SELECT * FROM main.entities WHERE entity_type = 'issue') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("description" TEXT, "created_at" TEXT, "closed_at" TEXT, "closed_by" JSON, "author" JSON, "assignees" JSON, "assignee" JSON, "labels" JSON, "milestone" JSON, "upvotes" TEXT, "downvotes" TEXT, "user_notes_count" TEXT, "discussion_locked" TEXT, "time_stats" JSON, "task_completion_status" JSON, "references" JSON, "web_url" TEXT, "issue_type" TEXT, "severity" TEXT, "due_date" TEXT, "weight" TEXT, "health_status" TEXT, "merge_requests_count" TEXT, "blocking_issues_count" TEXT, "has_tasks" TEXT, "epic" JSON, "iteration" JSON, "service_desk_reply_to" TEXT, "imported" TEXT, "imported_from" TEXT) ON TRUE) AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: an issue.
CREATE VIEW gitlab.issues AS
SELECT
    "project",
    "project_id",
    "id",
    "iid",
    "title",
    "state",
    "description",
    "created_at",
    "updated_at",
    "closed_at",
    "closed_by_id",
    "closed_by_username",
    "author_id",
    "author_username",
    "author_name",
    "assignees",
    "labels",
    "milestone_id",
    "milestone_iid",
    "milestone_title",
    "milestone_state",
    "milestone_start_date",
    "milestone_due_date",
    "upvotes",
    "downvotes",
    "user_notes_count",
    "discussion_locked",
    "time_stats_time_estimate",
    "time_stats_total_time_spent",
    "task_completion_status_count",
    "task_completion_status_completed_count",
    "references_full",
    "web_url",
    "confidential",
    "issue_type",
    "severity",
    "due_date",
    "weight",
    "health_status",
    "merge_requests_count",
    "blocking_issues_count",
    "has_tasks",
    "epic_id",
    "epic_iid",
    "epic_title",
    "iteration_id",
    "iteration_start_date",
    "iteration_due_date",
    "moved_to_id",
    "service_desk_reply_to",
    "imported",
    "imported_from",
    "fetched_at",
    "run_id"
FROM gitlab.all_issues
WHERE deleted_at IS NULL;

-- Each row: a merge request.
CREATE VIEW gitlab.all_merge_requests AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.gitlab_id AS "id",
    record.iid AS "iid",
    record.title AS "title",
    record.state AS "state",
    record.field_description AS "description",
    gitlab.time_of(record.field_created_at) AS "created_at",
    record.updated_at AS "updated_at",
    gitlab.time_of(record.field_closed_at) AS "closed_at",
    gitlab.integer_of((record.field_closed_by ->> 'id')) AS "closed_by_id",
    (record.field_closed_by ->> 'username') AS "closed_by_username",
    gitlab.integer_of((record.field_author ->> 'id')) AS "author_id",
    (record.field_author ->> 'username') AS "author_username",
    (record.field_author ->> 'name') AS "author_name",
    CASE WHEN cardinality(CASE WHEN json_typeof(record.field_assignees) = 'array' THEN ARRAY(SELECT (told.one ->> 'username') FROM json_array_elements(record.field_assignees) AS told (one)) END) > 0 OR (record.field_assignee ->> 'username') IS NULL THEN CASE WHEN json_typeof(record.field_assignees) = 'array' THEN ARRAY(SELECT (told.one ->> 'username') FROM json_array_elements(record.field_assignees) AS told (one)) END ELSE ARRAY[(record.field_assignee ->> 'username')] END AS "assignees",
    CASE WHEN json_typeof(record.field_labels) = 'array' THEN ARRAY(SELECT COALESCE(told.one ->> 'name', CASE WHEN json_typeof(told.one) = 'string' THEN told.one #>> '{}' END) FROM json_array_elements(record.field_labels) AS told (one)) END AS "labels",
    gitlab.integer_of((record.field_milestone ->> 'id')) AS "milestone_id",
    gitlab.integer_of((record.field_milestone ->> 'iid')) AS "milestone_iid",
    (record.field_milestone ->> 'title') AS "milestone_title",
    (record.field_milestone ->> 'state') AS "milestone_state",
    gitlab.day_of((record.field_milestone ->> 'start_date')) AS "milestone_start_date",
    gitlab.day_of((record.field_milestone ->> 'due_date')) AS "milestone_due_date",
    gitlab.integer_of(record.field_upvotes) AS "upvotes",
    gitlab.integer_of(record.field_downvotes) AS "downvotes",
    gitlab.integer_of(record.field_user_notes_count) AS "user_notes_count",
    gitlab.boolean_of(record.field_discussion_locked) AS "discussion_locked",
    gitlab.integer_of((record.field_time_stats ->> 'time_estimate')) AS "time_stats_time_estimate",
    gitlab.integer_of((record.field_time_stats ->> 'total_time_spent')) AS "time_stats_total_time_spent",
    gitlab.integer_of((record.field_task_completion_status ->> 'count')) AS "task_completion_status_count",
    gitlab.integer_of((record.field_task_completion_status ->> 'completed_count')) AS "task_completion_status_completed_count",
    (record.field_references ->> 'full') AS "references_full",
    record.field_web_url AS "web_url",
    gitlab.boolean_of(record.field_draft) AS "draft",
    CASE WHEN json_typeof(record.field_reviewers) = 'array' THEN ARRAY(SELECT (told.one ->> 'username') FROM json_array_elements(record.field_reviewers) AS told (one)) END AS "reviewers",
    record.field_source_branch AS "source_branch",
    record.field_target_branch AS "target_branch",
    gitlab.integer_of(record.field_source_project_id) AS "source_project_id",
    gitlab.integer_of(record.field_target_project_id) AS "target_project_id",
    gitlab.time_of(record.field_merged_at) AS "merged_at",
    gitlab.integer_of((record.field_merge_user ->> 'id')) AS "merge_user_id",
    (record.field_merge_user ->> 'username') AS "merge_user_username",
    gitlab.integer_of((record.field_merged_by ->> 'id')) AS "merged_by_id",
    (record.field_merged_by ->> 'username') AS "merged_by_username",
    gitlab.time_of(record.field_prepared_at) AS "prepared_at",
    record.field_detailed_merge_status AS "detailed_merge_status",
    record.field_merge_status AS "merge_status",
    gitlab.boolean_of(record.field_has_conflicts) AS "has_conflicts",
    gitlab.boolean_of(record.field_blocking_discussions_resolved) AS "blocking_discussions_resolved",
    gitlab.boolean_of(record.field_merge_when_pipeline_succeeds) AS "merge_when_pipeline_succeeds",
    gitlab.boolean_of(record.field_squash) AS "squash",
    gitlab.boolean_of(record.field_should_remove_source_branch) AS "should_remove_source_branch",
    record.field_sha AS "sha",
    record.field_merge_commit_sha AS "merge_commit_sha",
    record.field_squash_commit_sha AS "squash_commit_sha",
    gitlab.boolean_of(record.field_imported) AS "imported",
    record.field_imported_from AS "imported_from",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."description" AS field_description, fields."created_at" AS field_created_at, fields."closed_at" AS field_closed_at, fields."closed_by" AS field_closed_by, fields."author" AS field_author, fields."assignees" AS field_assignees, fields."assignee" AS field_assignee, fields."labels" AS field_labels, fields."milestone" AS field_milestone, fields."upvotes" AS field_upvotes, fields."downvotes" AS field_downvotes, fields."user_notes_count" AS field_user_notes_count, fields."discussion_locked" AS field_discussion_locked, fields."time_stats" AS field_time_stats, fields."task_completion_status" AS field_task_completion_status, fields."references" AS field_references, fields."web_url" AS field_web_url, fields."draft" AS field_draft, fields."reviewers" AS field_reviewers, fields."source_branch" AS field_source_branch, fields."target_branch" AS field_target_branch, fields."source_project_id" AS field_source_project_id, fields."target_project_id" AS field_target_project_id, fields."merged_at" AS field_merged_at, fields."merge_user" AS field_merge_user, fields."merged_by" AS field_merged_by, fields."prepared_at" AS field_prepared_at, fields."detailed_merge_status" AS field_detailed_merge_status, fields."merge_status" AS field_merge_status, fields."has_conflicts" AS field_has_conflicts, fields."blocking_discussions_resolved" AS field_blocking_discussions_resolved, fields."merge_when_pipeline_succeeds" AS field_merge_when_pipeline_succeeds, fields."squash" AS field_squash, fields."should_remove_source_branch" AS field_should_remove_source_branch, fields."sha" AS field_sha, fields."merge_commit_sha" AS field_merge_commit_sha, fields."squash_commit_sha" AS field_squash_commit_sha, fields."imported" AS field_imported, fields."imported_from" AS field_imported_from FROM (SELECT * FROM main.entities WHERE entity_type = 'merge_request') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("description" TEXT, "created_at" TEXT, "closed_at" TEXT, "closed_by" JSON, "author" JSON, "assignees" JSON, "assignee" JSON, "labels" JSON, "milestone" JSON, "upvotes" TEXT, "downvotes" TEXT, "user_notes_count" TEXT, "discussion_locked" TEXT, "time_stats" JSON, "task_completion_status" JSON, "references" JSON, "web_url" TEXT, "draft" TEXT, "reviewers" JSON, "source_branch" TEXT, "target_branch" TEXT, "source_project_id" TEXT, "target_project_id" TEXT, "merged_at" TEXT, "merge_user" JSON, "merged_by" JSON, "prepared_at" TEXT, "detailed_merge_status" TEXT, "merge_status" TEXT, "has_conflicts" TEXT, "blocking_discussions_resolved" TEXT, "merge_when_pipeline_succeeds" TEXT, "squash" TEXT, "should_remove_source_branch" TEXT, "sha" TEXT, "merge_commit_sha" TEXT, "squash_commit_sha" TEXT, "imported" TEXT, "imported_from" TEXT) ON TRUE) AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a merge request.
CREATE VIEW gitlab.merge_requests AS
SELECT
    "project",
    "project_id",
    "id",
    "iid",
    "title",
    "state",
    "description",
    "created_at",
    "updated_at",
    "closed_at",
    "closed_by_id",
    "closed_by_username",
    "author_id",
    "author_username",
    "author_name",
    "assignees",
    "labels",
    "milestone_id",
    "milestone_iid",
    "milestone_title",
    "milestone_state",
    "milestone_start_date",
    "milestone_due_date",
    "upvotes",
    "downvotes",
    "user_notes_count",
    "discussion_locked",
    "time_stats_time_estimate",
    "time_stats_total_time_spent",
    "task_completion_status_count",
    "task_completion_status_completed_count",
    "references_full",
    "web_url",
    "draft",
    "reviewers",
    "source_branch",
    "target_branch",
    "source_project_id",
    "target_project_id",
    "merged_at",
    "merge_user_id",
    "merge_user_username",
    "merged_by_id",
    "merged_by_username",
    "prepared_at",
    "detailed_merge_status",
    "merge_status",
    "has_conflicts",
    "blocking_discussions_resolved",
    "merge_when_pipeline_succeeds",
    "squash",
    "should_remove_source_branch",
    "sha",
    "merge_commit_sha",
    "squash_commit_sha",
    "imported",
    "imported_from",
    "fetched_at",
    "run_id"
FROM gitlab.all_merge_requests
WHERE deleted_at IS NULL;

-- Each row: a person to whom an issue or merge request is assigned.
CREATE VIEW gitlab.all_assignees AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.entity_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.iid AS "noteable_iid",
    gitlab.integer_of(record.field_id) AS "id",
    record.field_username AS "username",
    record.field_name AS "name",
    record.field_state AS "state",
    record.confidential AS "confidential",
    record.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."id" AS field_id, fields."username" AS field_username, fields."name" AS field_name, fields."state" AS field_state FROM (
    SELECT project_id, entity_type, iid, confidential, deleted_at, fetched_at, run_id,
        record.field_web_url AS web_url, json_array_elements(CASE WHEN json_typeof(record.field_assignees) = 'array' AND json_array_length(record.field_assignees) > 0 THEN record.field_assignees WHEN json_typeof(record.field_assignee) = 'object' THEN json_build_array(record.field_assignee) END) AS payload
    FROM (SELECT source.*, fields."web_url" AS field_web_url, fields."assignees" AS field_assignees, fields."assignee" AS field_assignee FROM main.entities AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("web_url" TEXT, "assignees" JSON, "assignee" JSON) ON TRUE) AS record
) AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("id" TEXT, "username" TEXT, "name" TEXT, "state" TEXT) ON TRUE) AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a person to whom an issue or merge request is assigned.
CREATE VIEW gitlab.assignees AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "id",
    "username",
    "name",
    "state",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_assignees
WHERE deleted_at IS NULL;

-- Each row: a person who is asked to review a merge request.
CREATE VIEW gitlab.all_reviewers AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.iid AS "merge_request_iid",
    gitlab.integer_of(record.field_id) AS "id",
    record.field_username AS "username",
    record.field_name AS "name",
    record.field_state AS "state",
    record.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."id" AS field_id, fields."username" AS field_username, fields."name" AS field_name, fields."state" AS field_state FROM (
    SELECT project_id, entity_type, iid, confidential, deleted_at, fetched_at, run_id,
        record.field_web_url AS web_url, json_array_elements(CASE WHEN json_typeof(record.field_reviewers) = 'array' AND json_array_length(record.field_reviewers) > 0 THEN record.field_reviewers WHEN json_typeof(record.field_none) = 'object' THEN json_build_array(record.field_none) END) AS payload
    FROM (SELECT source.*, fields."web_url" AS field_web_url, fields."reviewers" AS field_reviewers, fields."none" AS field_none FROM main.entities AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("web_url" TEXT, "reviewers" JSON, "none" JSON) ON TRUE) AS record
) AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("id" TEXT, "username" TEXT, "name" TEXT, "state" TEXT) ON TRUE) AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a person who is asked to review a merge request.
CREATE VIEW gitlab.reviewers AS
SELECT
    "project",
    "project_id",
    "merge_request_iid",
    "id",
    "username",
    "name",
    "state",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_reviewers
WHERE deleted_at IS NULL;

-- Each row: a label that an issue or merge request has.
CREATE VIEW gitlab.all_labels AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.entity_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.iid AS "noteable_iid",
    COALESCE(record.field_name, CASE WHEN json_typeof(record.payload) = 'string' THEN record.payload #>> '{}' END) AS "name",
    gitlab.integer_of(record.field_id) AS "id",
    record.field_color AS "color",
    record.field_description AS "description",
    record.confidential AS "confidential",
    record.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."name" AS field_name, fields."id" AS field_id, fields."color" AS field_color, fields."description" AS field_description FROM (
    SELECT project_id, entity_type, iid, confidential, deleted_at, fetched_at, run_id,
        record.field_web_url AS web_url, json_array_elements(CASE WHEN json_typeof(record.field_labels) = 'array' AND json_array_length(record.field_labels) > 0 THEN record.field_labels WHEN json_typeof(record.field_none) = 'object' THEN json_build_array(record.field_none) END) AS payload
    FROM (SELECT source.*, fields."web_url" AS field_web_url, fields."labels" AS field_labels, fields."none" AS field_none FROM main.entities AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("web_url" TEXT, "labels" JSON, "none" JSON) ON TRUE) AS record
) AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("name" TEXT, "id" TEXT, "color" TEXT, "description" TEXT) ON TRUE) AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a label that an issue or merge request has.
CREATE VIEW gitlab.labels AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "name",
    "id",
    "color",
    "description",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_labels
WHERE deleted_at IS NULL;

-- Each row: a note: a comment, or what GitLab says itself.
CREATE VIEW gitlab.all_notes AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.noteable_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.noteable_iid AS "noteable_iid",
    record.note_id AS "id",
    record.discussion_id AS "discussion_id",
    gitlab.integer_of(record.field_noteable_id) AS "noteable_id",
    record.field_type AS "type",
    record.field_body AS "body",
    gitlab.integer_of((record.field_author ->> 'id')) AS "author_id",
    (record.field_author ->> 'username') AS "author_username",
    (record.field_author ->> 'name') AS "author_name",
    record.created_at AS "created_at",
    record.updated_at AS "updated_at",
    record.system AS "system",
    gitlab.boolean_of(record.field_resolvable) AS "resolvable",
    gitlab.boolean_of(record.field_resolved) AS "resolved",
    gitlab.integer_of((record.field_resolved_by ->> 'id')) AS "resolved_by_id",
    (record.field_resolved_by ->> 'username') AS "resolved_by_username",
    gitlab.time_of(record.field_resolved_at) AS "resolved_at",
    record.field_commit_id AS "commit_id",
    (record.field_position ->> 'position_type') AS "position_position_type",
    (record.field_position ->> 'new_path') AS "position_new_path",
    gitlab.integer_of((record.field_position ->> 'new_line')) AS "position_new_line",
    (record.field_position ->> 'old_path') AS "position_old_path",
    gitlab.integer_of((record.field_position ->> 'old_line')) AS "position_old_line",
    record.internal AS "internal",
    entity.confidential AS "confidential",
    entity.web_url || '#note_' || record.note_id AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."noteable_id" AS field_noteable_id, fields."type" AS field_type, fields."body" AS field_body, fields."author" AS field_author, fields."resolvable" AS field_resolvable, fields."resolved" AS field_resolved, fields."resolved_by" AS field_resolved_by, fields."resolved_at" AS field_resolved_at, fields."commit_id" AS field_commit_id, fields."position" AS field_position FROM main.notes AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("noteable_id" TEXT, "type" TEXT, "body" TEXT, "author" JSON, "resolvable" TEXT, "resolved" TEXT, "resolved_by" JSON, "resolved_at" TEXT, "commit_id" TEXT, "position" JSON) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.noteable_type AND entity.iid = record.noteable_iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a note: a comment, or what GitLab says itself.
CREATE VIEW gitlab.notes AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "id",
    "discussion_id",
    "noteable_id",
    "type",
    "body",
    "author_id",
    "author_username",
    "author_name",
    "created_at",
    "updated_at",
    "system",
    "resolvable",
    "resolved",
    "resolved_by_id",
    "resolved_by_username",
    "resolved_at",
    "commit_id",
    "position_position_type",
    "position_new_path",
    "position_new_line",
    "position_old_path",
    "position_old_line",
    "internal",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_notes
WHERE deleted_at IS NULL;

-- Each row: a discussion: a thread, or a single note.
CREATE VIEW gitlab.all_discussions AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.noteable_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.noteable_iid AS "noteable_iid",
    record.discussion_id AS "id",
    record.individual_note AS "individual_note",
    notes.notes_count AS "notes_count",
    notes.author_username AS "author_username",
    notes.created_at AS "created_at",
    notes.updated_at AS "updated_at",
    COALESCE(notes.resolvable, FALSE) AS "resolvable",
    notes.resolved AS "resolved",
    CASE WHEN notes.resolved THEN notes.resolved_by_id END AS "resolved_by_id",
    CASE WHEN notes.resolved THEN notes.resolved_by_username END AS "resolved_by_username",
    CASE WHEN notes.resolved THEN notes.resolved_at END AS "resolved_at",
    notes.position_new_path AS "position_new_path",
    notes.position_new_line AS "position_new_line",
    notes.internal AS "internal",
    entity.confidential AS "confidential",
    entity.web_url || '#note_' || notes.first_note_id AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM main.discussions AS record
JOIN (
    SELECT
        project_id, noteable_type, noteable_iid, discussion_id,
        COUNT(*) AS notes_count,
        MIN(note_id) AS first_note_id,
        MIN(created_at) AS created_at,
        MAX(updated_at) AS updated_at,
        BOOL_OR(internal) AS internal,
        BOOL_OR(resolvable) AS resolvable,
        BOOL_AND(resolved) FILTER (WHERE resolvable) AS resolved,
        MAX(resolved_at) AS resolved_at,
        (ARRAY_AGG(resolved_by_id ORDER BY resolved_at DESC NULLS LAST, note_id DESC)
            FILTER (WHERE resolved))[1] AS resolved_by_id,
        (ARRAY_AGG(resolved_by_username ORDER BY resolved_at DESC NULLS LAST, note_id DESC)
            FILTER (WHERE resolved))[1] AS resolved_by_username,
        MAX(author_username) FILTER (WHERE position = 0) AS author_username,
        MAX(new_path) FILTER (WHERE position = 0) AS position_new_path,
        MAX(new_line) FILTER (WHERE position = 0) AS position_new_line
    FROM (
        SELECT
            record.*, author AS author_username,
            gitlab.boolean_of(record.field_resolvable) AS resolvable, gitlab.boolean_of(record.field_resolved) AS resolved,
            gitlab.time_of(record.field_resolved_at) AS resolved_at, gitlab.integer_of((record.field_resolved_by ->> 'id')) AS resolved_by_id,
            (record.field_resolved_by ->> 'username') AS resolved_by_username,
            (record.field_position ->> 'new_path') AS new_path, gitlab.integer_of((record.field_position ->> 'new_line')) AS new_line
        FROM (SELECT source.*, fields."resolvable" AS field_resolvable, fields."resolved" AS field_resolved, fields."resolved_at" AS field_resolved_at, fields."resolved_by" AS field_resolved_by, fields."position" AS field_position FROM main.notes AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("resolvable" TEXT, "resolved" TEXT, "resolved_at" TEXT, "resolved_by" JSON, "position" JSON) ON TRUE) AS record
    ) AS note
    GROUP BY project_id, noteable_type, noteable_iid, discussion_id
) AS notes
    ON notes.project_id = record.project_id AND notes.noteable_type = record.noteable_type
    AND notes.noteable_iid = record.noteable_iid AND notes.discussion_id = record.discussion_id
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.noteable_type AND entity.iid = record.noteable_iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a discussion: a thread, or a single note.
CREATE VIEW gitlab.discussions AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "id",
    "individual_note",
    "notes_count",
    "author_username",
    "created_at",
    "updated_at",
    "resolvable",
    "resolved",
    "resolved_by_id",
    "resolved_by_username",
    "resolved_at",
    "position_new_path",
    "position_new_line",
    "internal",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_discussions
WHERE deleted_at IS NULL;

-- Each row: an emoji that a person gave an issue or merge request.
CREATE VIEW gitlab.all_award_emoji AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.entity_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.iid AS "noteable_iid",
    gitlab.integer_of(record.field_id) AS "id",
    record.field_name AS "name",
    gitlab.integer_of((record.field_user ->> 'id')) AS "user_id",
    (record.field_user ->> 'username') AS "user_username",
    gitlab.time_of(record.field_created_at) AS "created_at",
    gitlab.time_of(record.field_updated_at) AS "updated_at",
    gitlab.integer_of(record.field_awardable_id) AS "awardable_id",
    record.field_awardable_type AS "awardable_type",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."id" AS field_id, fields."name" AS field_name, fields."user" AS field_user, fields."created_at" AS field_created_at, fields."updated_at" AS field_updated_at, fields."awardable_id" AS field_awardable_id, fields."awardable_type" AS field_awardable_type FROM (SELECT * FROM main.linked_records WHERE dependent = 'award_emoji') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("id" TEXT, "name" TEXT, "user" JSON, "created_at" TEXT, "updated_at" TEXT, "awardable_id" TEXT, "awardable_type" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.entity_type AND entity.iid = record.iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: an emoji that a person gave an issue or merge request.
CREATE VIEW gitlab.award_emoji AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "id",
    "name",
    "user_id",
    "user_username",
    "created_at",
    "updated_at",
    "awardable_id",
    "awardable_type",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_award_emoji
WHERE deleted_at IS NULL;

-- Each row: a label added or removed.
CREATE VIEW gitlab.all_label_events AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.noteable_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.noteable_iid AS "noteable_iid",
    record.event_id AS "id",
    record.field_action AS "action",
    gitlab.integer_of((record.field_label ->> 'id')) AS "label_id",
    (record.field_label ->> 'name') AS "label_name",
    (record.field_label ->> 'color') AS "label_color",
    gitlab.integer_of((record.field_user ->> 'id')) AS "user_id",
    (record.field_user ->> 'username') AS "user_username",
    (record.field_user ->> 'name') AS "user_name",
    gitlab.time_of(record.field_created_at) AS "created_at",
    record.field_resource_type AS "resource_type",
    gitlab.integer_of(record.field_resource_id) AS "resource_id",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."action" AS field_action, fields."label" AS field_label, fields."user" AS field_user, fields."created_at" AS field_created_at, fields."resource_type" AS field_resource_type, fields."resource_id" AS field_resource_id FROM (SELECT * FROM main.resource_events WHERE event_type = 'label_events') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("action" TEXT, "label" JSON, "user" JSON, "created_at" TEXT, "resource_type" TEXT, "resource_id" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.noteable_type AND entity.iid = record.noteable_iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a label added or removed.
CREATE VIEW gitlab.label_events AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "id",
    "action",
    "label_id",
    "label_name",
    "label_color",
    "user_id",
    "user_username",
    "user_name",
    "created_at",
    "resource_type",
    "resource_id",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_label_events
WHERE deleted_at IS NULL;

-- Each row: a change of state.
CREATE VIEW gitlab.all_state_events AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.noteable_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.noteable_iid AS "noteable_iid",
    record.event_id AS "id",
    record.field_state AS "state",
    gitlab.integer_of((record.field_user ->> 'id')) AS "user_id",
    (record.field_user ->> 'username') AS "user_username",
    (record.field_user ->> 'name') AS "user_name",
    gitlab.time_of(record.field_created_at) AS "created_at",
    record.field_resource_type AS "resource_type",
    gitlab.integer_of(record.field_resource_id) AS "resource_id",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."state" AS field_state, fields."user" AS field_user, fields."created_at" AS field_created_at, fields."resource_type" AS field_resource_type, fields."resource_id" AS field_resource_id FROM (SELECT * FROM main.resource_events WHERE event_type = 'state_events') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("state" TEXT, "user" JSON, "created_at" TEXT, "resource_type" TEXT, "resource_id" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.noteable_type AND entity.iid = record.noteable_iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a change of state.
CREATE VIEW gitlab.state_events AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "id",
    "state",
    "user_id",
    "user_username",
    "user_name",
    "created_at",
    "resource_type",
    "resource_id",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_state_events
WHERE deleted_at IS NULL;

-- Each row: a milestone set or removed.
CREATE VIEW gitlab.all_milestone_events AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    CASE record.noteable_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS "noteable_type",
    record.noteable_iid AS "noteable_iid",
    record.event_id AS "id",
    record.field_action AS "action",
    gitlab.integer_of((record.field_milestone ->> 'id')) AS "milestone_id",
    gitlab.integer_of((record.field_milestone ->> 'iid')) AS "milestone_iid",
    (record.field_milestone ->> 'title') AS "milestone_title",
    gitlab.integer_of((record.field_user ->> 'id')) AS "user_id",
    (record.field_user ->> 'username') AS "user_username",
    (record.field_user ->> 'name') AS "user_name",
    gitlab.time_of(record.field_created_at) AS "created_at",
    record.field_resource_type AS "resource_type",
    gitlab.integer_of(record.field_resource_id) AS "resource_id",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."action" AS field_action, fields."milestone" AS field_milestone, fields."user" AS field_user, fields."created_at" AS field_created_at, fields."resource_type" AS field_resource_type, fields."resource_id" AS field_resource_id FROM (SELECT * FROM main.resource_events WHERE event_type = 'milestone_events') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("action" TEXT, "milestone" JSON, "user" JSON, "created_at" TEXT, "resource_type" TEXT, "resource_id" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.noteable_type AND entity.iid = record.noteable_iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a milestone set or removed.
CREATE VIEW gitlab.milestone_events AS
SELECT
    "project",
    "project_id",
    "noteable_type",
    "noteable_iid",
    "id",
    "action",
    "milestone_id",
    "milestone_iid",
    "milestone_title",
    "user_id",
    "user_username",
    "user_name",
    "created_at",
    "resource_type",
    "resource_id",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_milestone_events
WHERE deleted_at IS NULL;

-- Each row: a link from an issue to another.
CREATE VIEW gitlab.all_links AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.iid AS "issue_iid",
    gitlab.integer_of(record.field_issue_link_id) AS "issue_link_id",
    record.field_link_type AS "link_type",
    gitlab.time_of(record.field_link_created_at) AS "link_created_at",
    gitlab.time_of(record.field_link_updated_at) AS "link_updated_at",
    gitlab.integer_of(record.field_id) AS "linked_id",
    gitlab.integer_of(record.field_project_id) AS "linked_project_id",
    gitlab.integer_of(record.field_iid) AS "linked_iid",
    record.field_title AS "linked_title",
    record.field_state AS "linked_state",
    record.field_web_url AS "linked_web_url",
    entity.confidential OR COALESCE(gitlab.boolean_of(record.field_confidential), FALSE) AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."issue_link_id" AS field_issue_link_id, fields."link_type" AS field_link_type, fields."link_created_at" AS field_link_created_at, fields."link_updated_at" AS field_link_updated_at, fields."id" AS field_id, fields."project_id" AS field_project_id, fields."iid" AS field_iid, fields."title" AS field_title, fields."state" AS field_state, fields."web_url" AS field_web_url, fields."confidential" AS field_confidential FROM (SELECT * FROM main.linked_records WHERE dependent = 'links') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("issue_link_id" TEXT, "link_type" TEXT, "link_created_at" TEXT, "link_updated_at" TEXT, "id" TEXT, "project_id" TEXT, "iid" TEXT, "title" TEXT, "state" TEXT, "web_url" TEXT, "confidential" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.entity_type AND entity.iid = record.iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a link from an issue to another.
CREATE VIEW gitlab.links AS
SELECT
    "project",
    "project_id",
    "issue_iid",
    "issue_link_id",
    "link_type",
    "link_created_at",
    "link_updated_at",
    "linked_id",
    "linked_project_id",
    "linked_iid",
    "linked_title",
    "linked_state",
    "linked_web_url",
    "confidential",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_links
WHERE deleted_at IS NULL;

-- Each row: a commit of a merge request.
CREATE VIEW gitlab.all_commits AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.iid AS "merge_request_iid",
    record.field_id AS "id",
    record.field_short_id AS "short_id",
    record.field_title AS "title",
    record.field_message AS "message",
    record.field_author_name AS "author_name",
    record.field_author_email AS "author_email",
    gitlab.time_of(record.field_authored_date) AS "authored_date",
    record.field_committer_name AS "committer_name",
    record.field_committer_email AS "committer_email",
    gitlab.time_of(record.field_committed_date) AS "committed_date",
    gitlab.time_of(record.field_created_at) AS "created_at",
    CASE WHEN json_typeof(record.field_parent_ids) = 'array' THEN ARRAY(SELECT told.one #>> '{}' FROM json_array_elements(record.field_parent_ids) AS told (one)) END AS "parent_ids",
    CAST(record.position AS BIGINT) AS "position",
    record.field_web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."id" AS field_id, fields."short_id" AS field_short_id, fields."title" AS field_title, fields."message" AS field_message, fields."author_name" AS field_author_name, fields."author_email" AS field_author_email, fields."authored_date" AS field_authored_date, fields."committer_name" AS field_committer_name, fields."committer_email" AS field_committer_email, fields."committed_date" AS field_committed_date, fields."created_at" AS field_created_at, fields."parent_ids" AS field_parent_ids, fields."web_url" AS field_web_url FROM (SELECT * FROM main.linked_records WHERE dependent = 'commits') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("id" TEXT, "short_id" TEXT, "title" TEXT, "message" TEXT, "author_name" TEXT, "author_email" TEXT, "authored_date" TEXT, "committer_name" TEXT, "committer_email" TEXT, "committed_date" TEXT, "created_at" TEXT, "parent_ids" JSON, "web_url" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.entity_type AND entity.iid = record.iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a commit of a merge request.
CREATE VIEW gitlab.commits AS
SELECT
    "project",
    "project_id",
    "merge_request_iid",
    "id",
    "short_id",
    "title",
    "message",
    "author_name",
    "author_email",
    "authored_date",
    "committer_name",
    "committer_email",
    "committed_date",
    "created_at",
    "parent_ids",
    "position",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_commits
WHERE deleted_at IS NULL;

-- Each row: a file that a merge request changes.
CREATE VIEW gitlab.all_diffs AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.iid AS "merge_request_iid",
    record.field_old_path AS "old_path",
    record.field_new_path AS "new_path",
    record.field_a_mode AS "a_mode",
    record.field_b_mode AS "b_mode",
    gitlab.boolean_of(record.field_new_file) AS "new_file",
    gitlab.boolean_of(record.field_renamed_file) AS "renamed_file",
    gitlab.boolean_of(record.field_deleted_file) AS "deleted_file",
    gitlab.boolean_of(record.field_generated_file) AS "generated_file",
    gitlab.boolean_of(record.field_collapsed) AS "collapsed",
    gitlab.boolean_of(record.field_too_large) AS "too_large",
    record.field_diff AS "diff",
    CASE WHEN record.field_diff <> '' THEN regexp_count(regexp_replace(record.field_diff, '^--- [^\n]*\n\+\+\+ [^\n]*\n', ''), '^\+', 1, 'n')::BIGINT END AS "lines_added",
    CASE WHEN record.field_diff <> '' THEN regexp_count(regexp_replace(record.field_diff, '^--- [^\n]*\n\+\+\+ [^\n]*\n', ''), '^-', 1, 'n')::BIGINT END AS "lines_removed",
    CAST(record.position AS BIGINT) AS "position",
    entity.web_url || '/diffs' AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."old_path" AS field_old_path, fields."new_path" AS field_new_path, fields."a_mode" AS field_a_mode, fields."b_mode" AS field_b_mode, fields."new_file" AS field_new_file, fields."renamed_file" AS field_renamed_file, fields."deleted_file" AS field_deleted_file, fields."generated_file" AS field_generated_file, fields."collapsed" AS field_collapsed, fields."too_large" AS field_too_large, fields."diff" AS field_diff FROM (SELECT * FROM main.linked_records WHERE dependent = 'diffs') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("old_path" TEXT, "new_path" TEXT, "a_mode" TEXT, "b_mode" TEXT, "new_file" TEXT, "renamed_file" TEXT, "deleted_file" TEXT, "generated_file" TEXT, "collapsed" TEXT, "too_large" TEXT, "diff" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.entity_type AND entity.iid = record.iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a file that a merge request changes.
CREATE VIEW gitlab.diffs AS
SELECT
    "project",
    "project_id",
    "merge_request_iid",
    "old_path",
    "new_path",
    "a_mode",
    "b_mode",
    "new_file",
    "renamed_file",
    "deleted_file",
    "generated_file",
    "collapsed",
    "too_large",
    "diff",
    "lines_added",
    "lines_removed",
    "position",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_diffs
WHERE deleted_at IS NULL;

-- Each row: the approvals of a merge request.
CREATE VIEW gitlab.all_approvals AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.iid AS "merge_request_iid",
    gitlab.boolean_of(record.field_approved) AS "approved",
    gitlab.integer_of(record.field_approvals_required) AS "approvals_required",
    gitlab.integer_of(record.field_approvals_left) AS "approvals_left",
    CASE WHEN json_typeof(record.field_approved_by) = 'array' THEN ARRAY(SELECT (told.one -> 'user' ->> 'username') FROM json_array_elements(record.field_approved_by) AS told (one)) END AS "approved_by",
    (SELECT MIN(gitlab.time_of(told.one)) FROM unnest(CASE WHEN json_typeof(record.field_approved_by) = 'array' THEN ARRAY(SELECT (told.one ->> 'approved_at') FROM json_array_elements(record.field_approved_by) AS told (one)) END) AS told (one)) AS "approved_at",
    gitlab.boolean_of(record.field_has_approval_rules) AS "has_approval_rules",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT source.*, fields."approved" AS field_approved, fields."approvals_required" AS field_approvals_required, fields."approvals_left" AS field_approvals_left, fields."approved_by" AS field_approved_by, fields."has_approval_rules" AS field_has_approval_rules FROM (SELECT * FROM main.linked_records WHERE dependent = 'approvals') AS source LEFT JOIN LATERAL json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) AS fields ("approved" TEXT, "approvals_required" TEXT, "approvals_left" TEXT, "approved_by" JSON, "has_approval_rules" TEXT) ON TRUE) AS record
JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.entity_type AND entity.iid = record.iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: the approvals of a merge request.
CREATE VIEW gitlab.approvals AS
SELECT
    "project",
    "project_id",
    "merge_request_iid",
    "approved",
    "approvals_required",
    "approvals_left",
    "approved_by",
    "approved_at",
    "has_approval_rules",
    "web_url",
    "fetched_at",
    "run_id"
FROM gitlab.all_approvals
WHERE deleted_at IS NULL;

-- Each row: the text of an issue, a merge request or a discussion, as it is searched.
CREATE VIEW gitlab.all_documents AS
SELECT
    CAST(record.document_id AS TEXT) AS "document_id",
    CAST(record.kind AS TEXT) AS "kind",
    project.path AS "project",
    record.project_id AS "project_id",
    CAST(record.entity_type AS TEXT) AS "entity_type",
    CAST(record.iid AS BIGINT) AS "iid",
    CAST(record.discussion_id AS TEXT) AS "discussion_id",
    CAST(record.title AS TEXT) AS "title",
    CAST(record.content AS TEXT) AS "content",
    CAST(record.content_hash AS TEXT) AS "content_hash",
    CAST(record.state AS TEXT) AS "state",
    CAST(record.labels AS TEXT[]) AS "labels",
    CAST(record.author AS TEXT) AS "author",
    CAST(record.created_at AS TIMESTAMPTZ) AS "created_at",
    CAST(record.updated_at AS TIMESTAMPTZ) AS "updated_at",
    CAST(record.confidential AS BOOLEAN) AS "confidential",
    CAST(record.internal AS BOOLEAN) AS "internal",
    CAST(record.web_url AS TEXT) AS "web_url",
    CAST(record.run_id AS TEXT) AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM main.documents AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: the text of an issue, a merge request or a discussion, as it is searched.
CREATE VIEW gitlab.documents AS
SELECT
    "document_id",
    "kind",
    "project",
    "project_id",
    "entity_type",
    "iid",
    "discussion_id",
    "title",
    "content",
    "content_hash",
    "state",
    "labels",
    "author",
    "created_at",
    "updated_at",
    "confidential",
    "internal",
    "web_url",
    "run_id"
FROM gitlab.all_documents
WHERE deleted_at IS NULL;

-- Each row: a vector of a chunk of a document's present text.
CREATE VIEW gitlab.all_embeddings AS
SELECT
    CAST(record.document_id AS TEXT) AS "document_id",
    CAST(record.chunk_index AS BIGINT) AS "chunk_index",
    CAST(record.model AS TEXT) AS "model",
    CAST(record.dimension AS BIGINT) AS "dimension",
    CAST(record.vector AS REAL[]) AS "vector",
    CAST(record.embedded_at AS TIMESTAMPTZ) AS "embedded_at",
    project.path AS "project",
    record.project_id AS "project_id",
    record.confidential AS "confidential",
    record.internal AS "internal",
    record.web_url AS "web_url",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (
    SELECT
        embeddings.*, documents.project_id, documents.confidential, documents.internal, documents.web_url,
        documents.deleted_at
    FROM main.embeddings
    JOIN main.documents
        ON documents.document_id = embeddings.document_id AND documents.content_hash = embeddings.content_hash
) AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a vector of a chunk of a document's present text.
CREATE VIEW gitlab.embeddings AS
SELECT
    "document_id",
    "chunk_index",
    "model",
    "dimension",
    "vector",
    "embedded_at",
    "project",
    "project_id",
    "confidential",
    "internal",
    "web_url"
FROM gitlab.all_embeddings
WHERE deleted_at IS NULL;

-- Each row: a run of a sync.
CREATE VIEW gitlab.runs AS
SELECT
    CAST(record.run_id AS TEXT) AS "run_id",
    CAST(record.number AS BIGINT) AS "number",
    CAST(record.parent_run_id AS TEXT) AS "parent_run_id",
    CAST(record.mode AS TEXT) AS "mode",
    CAST(record.trigger AS TEXT) AS "trigger",
    CAST(record.status AS TEXT) AS "status",
    CAST(record.phase AS TEXT) AS "phase",
    COALESCE(project.path, record.project_path) AS "project",
    record.project_id AS "project_id",
    CAST(record.scope AS TEXT) AS "scope",
    CAST(record.queued_at AS TIMESTAMPTZ) AS "queued_at",
    CAST(record.started_at AS TIMESTAMPTZ) AS "started_at",
    CAST(record.finished_at AS TIMESTAMPTZ) AS "finished_at",
    CAST(record.cancelled_at AS TIMESTAMPTZ) AS "cancelled_at",
    CAST(record.warnings_count AS BIGINT) AS "warnings_count",
    CAST(record.requested AS BIGINT) AS "requested",
    CAST(record.fetched AS BIGINT) AS "fetched",
    CAST(record.ingested AS BIGINT) AS "ingested",
    CAST(record.stale_skipped AS BIGINT) AS "stale_skipped",
    CAST(record.tombstoned AS BIGINT) AS "tombstoned",
    CAST(record.failed AS BIGINT) AS "failed",
    CAST(record.dependents_replaced AS BIGINT) AS "dependents_replaced",
    CAST(record.dependent_failures AS BIGINT) AS "dependent_failures",
    CAST(record.documents_regenerated AS BIGINT) AS "documents_regenerated",
    CAST(record.documents_unchanged AS BIGINT) AS "documents_unchanged",
    CAST(record.documents_embedded AS BIGINT) AS "documents_embedded",
    CAST(record.lock_windows AS BIGINT) AS "lock_windows",
    CAST(record.http_requests AS BIGINT) AS "http_requests",
    CAST(record.http_retries AS BIGINT) AS "http_retries",
    CAST(record.lock_wait_ms AS DOUBLE PRECISION) AS "lock_wait_ms",
    CAST(record.lock_held_ms AS DOUBLE PRECISION) AS "lock_held_ms",
    CAST(record.failure_code AS TEXT) AS "failure_code",
    CAST(record.failure_message AS TEXT) AS "failure_message",
    project.payload ->> 'web_url' AS "web_url"
FROM main.sync_runs AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: an issue or merge request that a run was asked for.
CREATE VIEW gitlab.outcomes AS
SELECT
    CAST(record.run_id AS TEXT) AS "run_id",
    COALESCE(project.path, record.project_path) AS "project",
    record.project_id AS "project_id",
    CAST(record.entity_type AS TEXT) AS "entity_type",
    CAST(record.iid AS BIGINT) AS "iid",
    CAST(record.fetched AS BOOLEAN) AS "fetched",
    CAST(record.ingested AS BOOLEAN) AS "ingested",
    CAST(record.stale_skipped AS BOOLEAN) AS "stale_skipped",
    CAST(record.tombstoned AS BOOLEAN) AS "tombstoned",
    CAST(record.unchanged AS BOOLEAN) AS "unchanged",
    CAST(record.settled AS BOOLEAN) AS "settled",
    CAST(record.failure_code AS TEXT) AS "failure_code",
    CAST(record.failure_message AS TEXT) AS "failure_message",
    CAST(record.failure_stage AS TEXT) AS "failure_stage",
    ARRAY(SELECT told.one ->> 'message' FROM json_array_elements(record.warnings) AS told (one)) AS "warnings",
    CAST(record.regenerated_document_ids AS TEXT[]) AS "regenerated_document_ids",
    CAST(record.embedded_document_ids AS TEXT[]) AS "embedded_document_ids",
    COALESCE(entity.confidential, FALSE) AS "confidential",
    entity.web_url AS "web_url"
FROM (
    SELECT entity_outcomes.*, sync_runs.project_id, sync_runs.project_path
    FROM main.entity_outcomes
    JOIN main.sync_runs ON sync_runs.run_id = entity_outcomes.run_id
) AS record
LEFT JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.entity_type AND entity.iid = record.iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a failure of an issue or merge request, or of one of its dependents, in a run.
CREATE VIEW gitlab.failures AS
SELECT
    CAST(record.run_id AS TEXT) AS "run_id",
    COALESCE(project.path, record.project_path) AS "project",
    record.project_id AS "project_id",
    CAST(record.entity_type AS TEXT) AS "entity_type",
    CAST(record.iid AS BIGINT) AS "iid",
    CAST(record.position AS BIGINT) AS "position",
    CAST(record.stage AS TEXT) AS "stage",
    CAST(record.dependent AS TEXT) AS "dependent",
    CAST(record.code AS TEXT) AS "code",
    CAST(record.message AS TEXT) AS "message",
    CAST(record.retryable AS BOOLEAN) AS "retryable",
    COALESCE(entity.confidential, FALSE) AS "confidential",
    entity.web_url AS "web_url"
FROM main.entity_failures AS record
LEFT JOIN (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = record.entity_type AND entity.iid = record.iid
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: a time in which an issue or merge request had a label; removed and added again, it has two.
CREATE VIEW gitlab.label_spans AS
WITH entity AS (
    SELECT
        project, project_id, 'Issue' AS noteable_type, iid AS noteable_iid, labels, created_at, updated_at,
        confidential, web_url
    FROM (SELECT * FROM gitlab.all_issues WHERE deleted_at IS NULL) AS issues
    UNION ALL
    SELECT project, project_id, 'MergeRequest', iid, labels, created_at, updated_at, FALSE, web_url
    FROM (SELECT * FROM gitlab.all_merge_requests WHERE deleted_at IS NULL) AS merge_requests
),
changes AS (
    SELECT
        project_id, noteable_type, noteable_iid, label_name, action, created_at, id,
        LAG(action) OVER (
            PARTITION BY project_id, noteable_type, noteable_iid, label_name ORDER BY created_at, id
        ) AS before
    FROM (SELECT * FROM gitlab.all_label_events WHERE deleted_at IS NULL) AS label_events
    WHERE label_name IS NOT NULL AND action IN ('add', 'remove')
),
-- An event that says the same as the one before it changes nothing.
turns AS (
    SELECT
        project_id, noteable_type, noteable_iid, label_name, action, before, created_at,
        LEAD(created_at) OVER (
            PARTITION BY project_id, noteable_type, noteable_iid, label_name ORDER BY created_at, id
        ) AS until
    FROM changes
    WHERE before IS NULL OR action <> before
),
-- Events fetched before the entity was last changed may lack the one that added a label.
fetched AS (
    SELECT
        project_id, CASE entity_type WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END AS noteable_type,
        iid AS noteable_iid, fetched_at
    FROM main.dependent_fetches
    WHERE dependent = 'label_events'
),
carried AS (
    SELECT project_id, noteable_type, noteable_iid, created_at, updated_at, UNNEST(labels) AS label_name
    FROM entity
),
eventless AS (
    SELECT
        carried.project_id, carried.noteable_type, carried.noteable_iid, carried.label_name, carried.created_at,
        COALESCE(fetched.fetched_at >= carried.updated_at, FALSE) AS complete
    FROM carried
    LEFT JOIN fetched USING (project_id, noteable_type, noteable_iid)
    LEFT JOIN (
        SELECT DISTINCT project_id, noteable_type, noteable_iid, label_name FROM changes
    ) AS told USING (project_id, noteable_type, noteable_iid, label_name)
    WHERE told.label_name IS NULL
),
spans AS (
    SELECT
        project_id, noteable_type, noteable_iid, label_name,
        created_at AS from_at, until AS to_at, FALSE AS from_creation
    FROM turns
    WHERE action = 'add'
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, label_name, entity.created_at, turns.created_at, TRUE
    FROM turns
    JOIN entity USING (project_id, noteable_type, noteable_iid)
    WHERE action = 'remove' AND before IS NULL
    UNION ALL
    SELECT
        project_id, noteable_type, noteable_iid, label_name, CASE WHEN complete THEN created_at END, NULL, complete
    FROM eventless
)
SELECT
    project, project_id, noteable_type, noteable_iid, label_name, from_at, to_at, from_creation,
    confidential, web_url
FROM spans
JOIN entity USING (project_id, noteable_type, noteable_iid);

-- Each row: a time in which an issue or merge request was in a state; closed and opened again, it has three.
CREATE VIEW gitlab.state_spans AS
WITH entity AS (
    SELECT
        project, project_id, 'Issue' AS noteable_type, iid AS noteable_iid, state, created_at,
        closed_at AS ended_at, confidential, web_url
    FROM (SELECT * FROM gitlab.all_issues WHERE deleted_at IS NULL) AS issues
    UNION ALL
    SELECT
        project, project_id, 'MergeRequest', iid, state, created_at,
        CASE state WHEN 'merged' THEN merged_at ELSE closed_at END, FALSE, web_url
    FROM (SELECT * FROM gitlab.all_merge_requests WHERE deleted_at IS NULL) AS merge_requests
),
events AS (
    SELECT
        project_id, noteable_type, noteable_iid, created_at, id,
        CASE state WHEN 'reopened' THEN 'opened' ELSE state END AS state
    FROM (SELECT * FROM gitlab.all_state_events WHERE deleted_at IS NULL) AS state_events
    WHERE state IS NOT NULL
),
eventless AS (
    SELECT project_id, noteable_type, noteable_iid, entity.ended_at, entity.state
    FROM entity
    LEFT JOIN (
        SELECT DISTINCT project_id, noteable_type, noteable_iid, state FROM events
    ) AS told USING (project_id, noteable_type, noteable_iid, state)
    WHERE entity.state IN ('closed', 'merged') AND entity.ended_at IS NOT NULL AND told.state IS NULL
),
changes AS (
    SELECT project_id, noteable_type, noteable_iid, created_at, 0 AS id, 'opened' AS state FROM entity
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, created_at, id, state FROM events
    UNION ALL
    SELECT project_id, noteable_type, noteable_iid, ended_at, 1, state FROM eventless
),
turns AS (
    SELECT
        changes.*,
        LAG(state) OVER (PARTITION BY project_id, noteable_type, noteable_iid ORDER BY created_at, id) AS before
    FROM changes
),
spans AS (
    SELECT
        project_id, noteable_type, noteable_iid, state, created_at AS from_at,
        LEAD(created_at) OVER (
            PARTITION BY project_id, noteable_type, noteable_iid ORDER BY created_at, id
        ) AS to_at
    FROM turns
    WHERE before IS NULL OR state <> before
)
SELECT
    entity.project, project_id, noteable_type, noteable_iid, spans.state, spans.from_at, spans.to_at,
    entity.confidential, entity.web_url
FROM spans
JOIN entity USING (project_id, noteable_type, noteable_iid);

-- Each row: a merge request, with when it came how far.
CREATE VIEW gitlab.merge_request_times AS
WITH first_notes AS (
    SELECT notes.project_id, notes.noteable_iid AS iid, MIN(notes.created_at) AS created_at
    FROM (SELECT * FROM gitlab.all_notes WHERE deleted_at IS NULL) AS notes
    JOIN (SELECT * FROM gitlab.all_merge_requests WHERE deleted_at IS NULL) AS merge_request
        ON merge_request.project_id = notes.project_id AND merge_request.iid = notes.noteable_iid
    WHERE notes.noteable_type = 'MergeRequest' AND NOT notes.system AND NOT notes.internal
      AND notes.author_id <> merge_request.author_id
    GROUP BY notes.project_id, notes.noteable_iid
),
approvals AS (
    SELECT project_id, iid, MIN(approved_at) AS approved_at
    FROM (
        SELECT project_id, noteable_iid AS iid, created_at AS approved_at
        FROM (SELECT * FROM gitlab.all_notes WHERE deleted_at IS NULL) AS notes
        WHERE noteable_type = 'MergeRequest' AND system AND body = 'approved this merge request'
        UNION ALL
        SELECT project_id, merge_request_iid, approved_at FROM (SELECT * FROM gitlab.all_approvals WHERE deleted_at IS NULL) AS approvals
    ) AS told
    GROUP BY project_id, iid
)
SELECT
    merge_request.project, merge_request.project_id, merge_request.iid, merge_request.id,
    merge_request.author_username, merge_request.state,
    merge_request.created_at AS opened_at, first_notes.created_at AS first_note_at,
    approvals.approved_at, merge_request.merged_at, merge_request.closed_at, merge_request.web_url
FROM (SELECT * FROM gitlab.all_merge_requests WHERE deleted_at IS NULL) AS merge_request
LEFT JOIN first_notes ON first_notes.project_id = merge_request.project_id AND first_notes.iid = merge_request.iid
LEFT JOIN approvals ON approvals.project_id = merge_request.project_id AND approvals.iid = merge_request.iid;
