-- The typed views, which `make views` makes from surgical_pipeline/dataset/tables: do not change this file by
-- hand. They hold no data, and are made anew whenever a ledger is migrated.

DROP SCHEMA IF EXISTS gitlab CASCADE;

CREATE SCHEMA gitlab;

-- Each row: an issue.
CREATE VIEW gitlab.all_issues AS
SELECT
    project.path AS "project",
    record.project_id AS "project_id",
    record.gitlab_id AS "id",
    record.iid AS "iid",
    record.title AS "title",
    record.state AS "state",
    record.fields."description" AS "description",
    record.fields."created_at" AS "created_at",
    record.updated_at AS "updated_at",
    record.fields."closed_at" AS "closed_at",
    record.fields."closed_by"."id" AS "closed_by_id",
    record.fields."closed_by"."username" AS "closed_by_username",
    record.fields."author"."id" AS "author_id",
    record.fields."author"."username" AS "author_username",
    record.fields."author"."name" AS "author_name",
    CASE WHEN len(list_transform(record.fields."assignees", lambda one: one."username")) > 0 OR record.fields."assignee"."username" IS NULL THEN list_transform(record.fields."assignees", lambda one: one."username") ELSE [record.fields."assignee"."username"] END AS "assignees",
    list_transform(record.fields."labels", lambda one: COALESCE(one ->> '$.name', CASE WHEN json_type(one) = 'VARCHAR' THEN one ->> '$' END)) AS "labels",
    record.fields."milestone"."id" AS "milestone_id",
    record.fields."milestone"."iid" AS "milestone_iid",
    record.fields."milestone"."title" AS "milestone_title",
    record.fields."milestone"."state" AS "milestone_state",
    record.fields."milestone"."start_date" AS "milestone_start_date",
    record.fields."milestone"."due_date" AS "milestone_due_date",
    record.fields."upvotes" AS "upvotes",
    record.fields."downvotes" AS "downvotes",
    record.fields."user_notes_count" AS "user_notes_count",
    record.fields."discussion_locked" AS "discussion_locked",
    record.fields."time_stats"."time_estimate" AS "time_stats_time_estimate",
    record.fields."time_stats"."total_time_spent" AS "time_stats_total_time_spent",
    record.fields."task_completion_status"."count" AS "task_completion_status_count",
    record.fields."task_completion_status"."completed_count" AS "task_completion_status_completed_count",
    record.fields."references"."full" AS "references_full",
    record.fields."web_url" AS "web_url",
    record.confidential AS "confidential",
    record.fields."issue_type" AS "issue_type",
    record.fields."severity" AS "severity",
    record.fields."due_date" AS "due_date",
    record.fields."weight" AS "weight",
    record.fields."health_status" AS "health_status",
    record.fields."merge_requests_count" AS "merge_requests_count",
    record.fields."blocking_issues_count" AS "blocking_issues_count",
    record.fields."has_tasks" AS "has_tasks",
    record.fields."epic"."id" AS "epic_id",
    record.fields."epic"."iid" AS "epic_iid",
    record.fields."epic"."title" AS "epic_title",
    record.fields."iteration"."id" AS "iteration_id",
    record.fields."iteration"."start_date" AS "iteration_start_date",
    record.fields."iteration"."due_date" AS "iteration_due_date",
    record.moved_to_id AS "moved_to_id",
    record.fields."service_desk_reply_to" AS "service_desk_reply_to",
    record.fields."imported" AS "imported",
    record.fields."imported_from" AS "imported_from",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"description":"VARCHAR","created_at":"TIMESTAMPTZ","closed_at":"TIMESTAMPTZ","closed_by":{"id":"BIGINT","username":"VARCHAR"},"author":{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR"},"assignees":[{"username":"VARCHAR"}],"assignee":{"username":"VARCHAR"},"labels":["JSON"],"milestone":{"id":"BIGINT","iid":"BIGINT","title":"VARCHAR","state":"VARCHAR","start_date":"DATE","due_date":"DATE"},"upvotes":"BIGINT","downvotes":"BIGINT","user_notes_count":"BIGINT","discussion_locked":"BOOLEAN","time_stats":{"time_estimate":"BIGINT","total_time_spent":"BIGINT"},"task_completion_status":{"count":"BIGINT","completed_count":"BIGINT"},"references":{"full":"VARCHAR"},"web_url":"VARCHAR","issue_type":"VARCHAR","severity":"VARCHAR","due_date":"DATE","weight":"BIGINT","health_status":"VARCHAR","merge_requests_count":"BIGINT","blocking_issues_count":"BIGINT","has_tasks":"BOOLEAN","epic":{"id":"BIGINT","iid":"BIGINT","title":"VARCHAR"},"iteration":{"id":"BIGINT","start_date":"DATE","due_date":"DATE"},"service_desk_reply_to":"VARCHAR","imported":"BOOLEAN","imported_from":"VARCHAR"}') AS fields FROM (SELECT * FROM main.entities WHERE entity_type = 'issue')) AS record
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
    record.fields."description" AS "description",
    record.fields."created_at" AS "created_at",
    record.updated_at AS "updated_at",
    record.fields."closed_at" AS "closed_at",
    record.fields."closed_by"."id" AS "closed_by_id",
    record.fields."closed_by"."username" AS "closed_by_username",
    record.fields."author"."id" AS "author_id",
    record.fields."author"."username" AS "author_username",
    record.fields."author"."name" AS "author_name",
    CASE WHEN len(list_transform(record.fields."assignees", lambda one: one."username")) > 0 OR record.fields."assignee"."username" IS NULL THEN list_transform(record.fields."assignees", lambda one: one."username") ELSE [record.fields."assignee"."username"] END AS "assignees",
    list_transform(record.fields."labels", lambda one: COALESCE(one ->> '$.name', CASE WHEN json_type(one) = 'VARCHAR' THEN one ->> '$' END)) AS "labels",
    record.fields."milestone"."id" AS "milestone_id",
    record.fields."milestone"."iid" AS "milestone_iid",
    record.fields."milestone"."title" AS "milestone_title",
    record.fields."milestone"."state" AS "milestone_state",
    record.fields."milestone"."start_date" AS "milestone_start_date",
    record.fields."milestone"."due_date" AS "milestone_due_date",
    record.fields."upvotes" AS "upvotes",
    record.fields."downvotes" AS "downvotes",
    record.fields."user_notes_count" AS "user_notes_count",
    record.fields."discussion_locked" AS "discussion_locked",
    record.fields."time_stats"."time_estimate" AS "time_stats_time_estimate",
    record.fields."time_stats"."total_time_spent" AS "time_stats_total_time_spent",
    record.fields."task_completion_status"."count" AS "task_completion_status_count",
    record.fields."task_completion_status"."completed_count" AS "task_completion_status_completed_count",
    record.fields."references"."full" AS "references_full",
    record.fields."web_url" AS "web_url",
    record.fields."draft" AS "draft",
    list_transform(record.fields."reviewers", lambda one: one."username") AS "reviewers",
    record.fields."source_branch" AS "source_branch",
    record.fields."target_branch" AS "target_branch",
    record.fields."source_project_id" AS "source_project_id",
    record.fields."target_project_id" AS "target_project_id",
    record.fields."merged_at" AS "merged_at",
    record.fields."merge_user"."id" AS "merge_user_id",
    record.fields."merge_user"."username" AS "merge_user_username",
    record.fields."merged_by"."id" AS "merged_by_id",
    record.fields."merged_by"."username" AS "merged_by_username",
    record.fields."prepared_at" AS "prepared_at",
    record.fields."detailed_merge_status" AS "detailed_merge_status",
    record.fields."merge_status" AS "merge_status",
    record.fields."has_conflicts" AS "has_conflicts",
    record.fields."blocking_discussions_resolved" AS "blocking_discussions_resolved",
    record.fields."merge_when_pipeline_succeeds" AS "merge_when_pipeline_succeeds",
    record.fields."squash" AS "squash",
    record.fields."should_remove_source_branch" AS "should_remove_source_branch",
    record.fields."sha" AS "sha",
    record.fields."merge_commit_sha" AS "merge_commit_sha",
    record.fields."squash_commit_sha" AS "squash_commit_sha",
    record.fields."imported" AS "imported",
    record.fields."imported_from" AS "imported_from",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"description":"VARCHAR","created_at":"TIMESTAMPTZ","closed_at":"TIMESTAMPTZ","closed_by":{"id":"BIGINT","username":"VARCHAR"},"author":{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR"},"assignees":[{"username":"VARCHAR"}],"assignee":{"username":"VARCHAR"},"labels":["JSON"],"milestone":{"id":"BIGINT","iid":"BIGINT","title":"VARCHAR","state":"VARCHAR","start_date":"DATE","due_date":"DATE"},"upvotes":"BIGINT","downvotes":"BIGINT","user_notes_count":"BIGINT","discussion_locked":"BOOLEAN","time_stats":{"time_estimate":"BIGINT","total_time_spent":"BIGINT"},"task_completion_status":{"count":"BIGINT","completed_count":"BIGINT"},"references":{"full":"VARCHAR"},"web_url":"VARCHAR","draft":"BOOLEAN","reviewers":[{"username":"VARCHAR"}],"source_branch":"VARCHAR","target_branch":"VARCHAR","source_project_id":"BIGINT","target_project_id":"BIGINT","merged_at":"TIMESTAMPTZ","merge_user":{"id":"BIGINT","username":"VARCHAR"},"merged_by":{"id":"BIGINT","username":"VARCHAR"},"prepared_at":"TIMESTAMPTZ","detailed_merge_status":"VARCHAR","merge_status":"VARCHAR","has_conflicts":"BOOLEAN","blocking_discussions_resolved":"BOOLEAN","merge_when_pipeline_succeeds":"BOOLEAN","squash":"BOOLEAN","should_remove_source_branch":"BOOLEAN","sha":"VARCHAR","merge_commit_sha":"VARCHAR","squash_commit_sha":"VARCHAR","imported":"BOOLEAN","imported_from":"VARCHAR"}') AS fields FROM (SELECT * FROM main.entities WHERE entity_type = 'merge_request')) AS record
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
    record.fields."id" AS "id",
    record.fields."username" AS "username",
    record.fields."name" AS "name",
    record.fields."state" AS "state",
    record.confidential AS "confidential",
    record.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR","state":"VARCHAR"}') AS fields FROM (
    SELECT project_id, entity_type, iid, confidential, deleted_at, fetched_at, run_id,
        record.fields."web_url" AS web_url, UNNEST(CASE WHEN len(record.fields."assignees") > 0 OR json_type(record.fields."assignee") IS DISTINCT FROM 'OBJECT' THEN record.fields."assignees" ELSE [record.fields."assignee"] END) AS payload
    FROM (SELECT *, from_json(payload, '{"web_url":"VARCHAR","assignees":["JSON"],"assignee":"JSON"}') AS fields FROM main.entities) AS record
)) AS record
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
    record.fields."id" AS "id",
    record.fields."username" AS "username",
    record.fields."name" AS "name",
    record.fields."state" AS "state",
    record.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR","state":"VARCHAR"}') AS fields FROM (
    SELECT project_id, entity_type, iid, confidential, deleted_at, fetched_at, run_id,
        record.fields."web_url" AS web_url, UNNEST(CASE WHEN len(record.fields."reviewers") > 0 OR json_type(record.fields."none") IS DISTINCT FROM 'OBJECT' THEN record.fields."reviewers" ELSE [record.fields."none"] END) AS payload
    FROM (SELECT *, from_json(payload, '{"web_url":"VARCHAR","reviewers":["JSON"],"none":"JSON"}') AS fields FROM main.entities) AS record
)) AS record
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
    COALESCE(record.fields."name", CASE WHEN json_type(record.payload) = 'VARCHAR' THEN record.payload ->> '$' END) AS "name",
    record.fields."id" AS "id",
    record.fields."color" AS "color",
    record.fields."description" AS "description",
    record.confidential AS "confidential",
    record.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(record.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"name":"VARCHAR","id":"BIGINT","color":"VARCHAR","description":"VARCHAR"}') AS fields FROM (
    SELECT project_id, entity_type, iid, confidential, deleted_at, fetched_at, run_id,
        record.fields."web_url" AS web_url, UNNEST(CASE WHEN len(record.fields."labels") > 0 OR json_type(record.fields."none") IS DISTINCT FROM 'OBJECT' THEN record.fields."labels" ELSE [record.fields."none"] END) AS payload
    FROM (SELECT *, from_json(payload, '{"web_url":"VARCHAR","labels":["JSON"],"none":"JSON"}') AS fields FROM main.entities) AS record
)) AS record
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
    record.fields."noteable_id" AS "noteable_id",
    record.fields."type" AS "type",
    record.fields."body" AS "body",
    record.fields."author"."id" AS "author_id",
    record.fields."author"."username" AS "author_username",
    record.fields."author"."name" AS "author_name",
    record.created_at AS "created_at",
    record.updated_at AS "updated_at",
    record.system AS "system",
    record.fields."resolvable" AS "resolvable",
    record.fields."resolved" AS "resolved",
    record.fields."resolved_by"."id" AS "resolved_by_id",
    record.fields."resolved_by"."username" AS "resolved_by_username",
    record.fields."resolved_at" AS "resolved_at",
    record.fields."commit_id" AS "commit_id",
    record.fields."position"."position_type" AS "position_position_type",
    record.fields."position"."new_path" AS "position_new_path",
    record.fields."position"."new_line" AS "position_new_line",
    record.fields."position"."old_path" AS "position_old_path",
    record.fields."position"."old_line" AS "position_old_line",
    record.internal AS "internal",
    entity.confidential AS "confidential",
    entity.web_url || '#note_' || record.note_id AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"noteable_id":"BIGINT","type":"VARCHAR","body":"VARCHAR","author":{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR"},"resolvable":"BOOLEAN","resolved":"BOOLEAN","resolved_by":{"id":"BIGINT","username":"VARCHAR"},"resolved_at":"TIMESTAMPTZ","commit_id":"VARCHAR","position":{"position_type":"VARCHAR","new_path":"VARCHAR","new_line":"BIGINT","old_path":"VARCHAR","old_line":"BIGINT"}}') AS fields FROM main.notes) AS record
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
            record.fields."resolvable" AS resolvable, record.fields."resolved" AS resolved,
            record.fields."resolved_at" AS resolved_at, record.fields."resolved_by"."id" AS resolved_by_id,
            record.fields."resolved_by"."username" AS resolved_by_username,
            record.fields."position"."new_path" AS new_path, record.fields."position"."new_line" AS new_line
        FROM (SELECT *, from_json(payload, '{"resolvable":"BOOLEAN","resolved":"BOOLEAN","resolved_at":"TIMESTAMPTZ","resolved_by":{"id":"BIGINT","username":"VARCHAR"},"position":{"new_path":"VARCHAR","new_line":"BIGINT"}}') AS fields FROM main.notes) AS record
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
    record.fields."id" AS "id",
    record.fields."name" AS "name",
    record.fields."user"."id" AS "user_id",
    record.fields."user"."username" AS "user_username",
    record.fields."created_at" AS "created_at",
    record.fields."updated_at" AS "updated_at",
    record.fields."awardable_id" AS "awardable_id",
    record.fields."awardable_type" AS "awardable_type",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"id":"BIGINT","name":"VARCHAR","user":{"id":"BIGINT","username":"VARCHAR"},"created_at":"TIMESTAMPTZ","updated_at":"TIMESTAMPTZ","awardable_id":"BIGINT","awardable_type":"VARCHAR"}') AS fields FROM (SELECT * FROM main.linked_records WHERE dependent = 'award_emoji')) AS record
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
    record.fields."action" AS "action",
    record.fields."label"."id" AS "label_id",
    record.fields."label"."name" AS "label_name",
    record.fields."label"."color" AS "label_color",
    record.fields."user"."id" AS "user_id",
    record.fields."user"."username" AS "user_username",
    record.fields."user"."name" AS "user_name",
    record.fields."created_at" AS "created_at",
    record.fields."resource_type" AS "resource_type",
    record.fields."resource_id" AS "resource_id",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"action":"VARCHAR","label":{"id":"BIGINT","name":"VARCHAR","color":"VARCHAR"},"user":{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR"},"created_at":"TIMESTAMPTZ","resource_type":"VARCHAR","resource_id":"BIGINT"}') AS fields FROM (SELECT * FROM main.resource_events WHERE event_type = 'label_events')) AS record
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
    record.fields."state" AS "state",
    record.fields."user"."id" AS "user_id",
    record.fields."user"."username" AS "user_username",
    record.fields."user"."name" AS "user_name",
    record.fields."created_at" AS "created_at",
    record.fields."resource_type" AS "resource_type",
    record.fields."resource_id" AS "resource_id",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"state":"VARCHAR","user":{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR"},"created_at":"TIMESTAMPTZ","resource_type":"VARCHAR","resource_id":"BIGINT"}') AS fields FROM (SELECT * FROM main.resource_events WHERE event_type = 'state_events')) AS record
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
    record.fields."action" AS "action",
    record.fields."milestone"."id" AS "milestone_id",
    record.fields."milestone"."iid" AS "milestone_iid",
    record.fields."milestone"."title" AS "milestone_title",
    record.fields."user"."id" AS "user_id",
    record.fields."user"."username" AS "user_username",
    record.fields."user"."name" AS "user_name",
    record.fields."created_at" AS "created_at",
    record.fields."resource_type" AS "resource_type",
    record.fields."resource_id" AS "resource_id",
    entity.confidential AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"action":"VARCHAR","milestone":{"id":"BIGINT","iid":"BIGINT","title":"VARCHAR"},"user":{"id":"BIGINT","username":"VARCHAR","name":"VARCHAR"},"created_at":"TIMESTAMPTZ","resource_type":"VARCHAR","resource_id":"BIGINT"}') AS fields FROM (SELECT * FROM main.resource_events WHERE event_type = 'milestone_events')) AS record
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
    record.fields."issue_link_id" AS "issue_link_id",
    record.fields."link_type" AS "link_type",
    record.fields."link_created_at" AS "link_created_at",
    record.fields."link_updated_at" AS "link_updated_at",
    record.fields."id" AS "linked_id",
    record.fields."project_id" AS "linked_project_id",
    record.fields."iid" AS "linked_iid",
    record.fields."title" AS "linked_title",
    record.fields."state" AS "linked_state",
    record.fields."web_url" AS "linked_web_url",
    entity.confidential OR COALESCE(record.fields."confidential", FALSE) AS "confidential",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"issue_link_id":"BIGINT","link_type":"VARCHAR","link_created_at":"TIMESTAMPTZ","link_updated_at":"TIMESTAMPTZ","id":"BIGINT","project_id":"BIGINT","iid":"BIGINT","title":"VARCHAR","state":"VARCHAR","web_url":"VARCHAR","confidential":"BOOLEAN"}') AS fields FROM (SELECT * FROM main.linked_records WHERE dependent = 'links')) AS record
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
    record.fields."id" AS "id",
    record.fields."short_id" AS "short_id",
    record.fields."title" AS "title",
    record.fields."message" AS "message",
    record.fields."author_name" AS "author_name",
    record.fields."author_email" AS "author_email",
    record.fields."authored_date" AS "authored_date",
    record.fields."committer_name" AS "committer_name",
    record.fields."committer_email" AS "committer_email",
    record.fields."committed_date" AS "committed_date",
    record.fields."created_at" AS "created_at",
    record.fields."parent_ids" AS "parent_ids",
    CAST(record.position AS BIGINT) AS "position",
    record.fields."web_url" AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"id":"VARCHAR","short_id":"VARCHAR","title":"VARCHAR","message":"VARCHAR","author_name":"VARCHAR","author_email":"VARCHAR","authored_date":"TIMESTAMPTZ","committer_name":"VARCHAR","committer_email":"VARCHAR","committed_date":"TIMESTAMPTZ","created_at":"TIMESTAMPTZ","parent_ids":["VARCHAR"],"web_url":"VARCHAR"}') AS fields FROM (SELECT * FROM main.linked_records WHERE dependent = 'commits')) AS record
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
    record.fields."old_path" AS "old_path",
    record.fields."new_path" AS "new_path",
    record.fields."a_mode" AS "a_mode",
    record.fields."b_mode" AS "b_mode",
    record.fields."new_file" AS "new_file",
    record.fields."renamed_file" AS "renamed_file",
    record.fields."deleted_file" AS "deleted_file",
    record.fields."generated_file" AS "generated_file",
    record.fields."collapsed" AS "collapsed",
    record.fields."too_large" AS "too_large",
    record.fields."diff" AS "diff",
    CASE WHEN record.fields."diff" <> '' THEN len(regexp_extract_all(regexp_replace(record.fields."diff", '^--- [^\n]*\n\+\+\+ [^\n]*\n', ''), '(?m)^\+')) END AS "lines_added",
    CASE WHEN record.fields."diff" <> '' THEN len(regexp_extract_all(regexp_replace(record.fields."diff", '^--- [^\n]*\n\+\+\+ [^\n]*\n', ''), '(?m)^-')) END AS "lines_removed",
    CAST(record.position AS BIGINT) AS "position",
    entity.web_url || '/diffs' AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"old_path":"VARCHAR","new_path":"VARCHAR","a_mode":"VARCHAR","b_mode":"VARCHAR","new_file":"BOOLEAN","renamed_file":"BOOLEAN","deleted_file":"BOOLEAN","generated_file":"BOOLEAN","collapsed":"BOOLEAN","too_large":"BOOLEAN","diff":"VARCHAR"}') AS fields FROM (SELECT * FROM main.linked_records WHERE dependent = 'diffs')) AS record
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
    record.fields."approved" AS "approved",
    record.fields."approvals_required" AS "approvals_required",
    record.fields."approvals_left" AS "approvals_left",
    list_transform(record.fields."approved_by", lambda one: one."user"."username") AS "approved_by",
    list_min(list_transform(list_transform(record.fields."approved_by", lambda one: one."approved_at"), lambda one: TRY_CAST(one AS TIMESTAMPTZ))) AS "approved_at",
    record.fields."has_approval_rules" AS "has_approval_rules",
    entity.web_url AS "web_url",
    record.fetched_at AS "fetched_at",
    record.run_id AS "run_id",
    COALESCE(entity.deleted_at, COALESCE(successor.created_at, successor.fetched_at)) AS deleted_at
FROM (SELECT *, from_json(payload, '{"approved":"BOOLEAN","approvals_required":"BIGINT","approvals_left":"BIGINT","approved_by":[{"user":{"username":"VARCHAR"},"approved_at":"VARCHAR"}],"has_approval_rules":"BOOLEAN"}') AS fields FROM (SELECT * FROM main.linked_records WHERE dependent = 'approvals')) AS record
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
    CAST(record.document_id AS VARCHAR) AS "document_id",
    CAST(record.kind AS VARCHAR) AS "kind",
    project.path AS "project",
    record.project_id AS "project_id",
    CAST(record.entity_type AS VARCHAR) AS "entity_type",
    CAST(record.iid AS BIGINT) AS "iid",
    CAST(record.discussion_id AS VARCHAR) AS "discussion_id",
    CAST(record.title AS VARCHAR) AS "title",
    CAST(record.content AS VARCHAR) AS "content",
    CAST(record.content_hash AS VARCHAR) AS "content_hash",
    CAST(record.state AS VARCHAR) AS "state",
    CAST(record.labels AS VARCHAR[]) AS "labels",
    CAST(record.author AS VARCHAR) AS "author",
    CAST(record.created_at AS TIMESTAMPTZ) AS "created_at",
    CAST(record.updated_at AS TIMESTAMPTZ) AS "updated_at",
    CAST(record.confidential AS BOOLEAN) AS "confidential",
    CAST(record.internal AS BOOLEAN) AS "internal",
    CAST(record.web_url AS VARCHAR) AS "web_url",
    CAST(record.run_id AS VARCHAR) AS "run_id",
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
    CAST(record.document_id AS VARCHAR) AS "document_id",
    CAST(record.chunk_index AS BIGINT) AS "chunk_index",
    CAST(record.model AS VARCHAR) AS "model",
    CAST(record.dimension AS BIGINT) AS "dimension",
    CAST(record.vector AS FLOAT[]) AS "vector",
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
    CAST(record.run_id AS VARCHAR) AS "run_id",
    CAST(record.number AS BIGINT) AS "number",
    CAST(record.parent_run_id AS VARCHAR) AS "parent_run_id",
    CAST(record.mode AS VARCHAR) AS "mode",
    CAST(record.trigger AS VARCHAR) AS "trigger",
    CAST(record.status AS VARCHAR) AS "status",
    CAST(record.phase AS VARCHAR) AS "phase",
    COALESCE(project.path, record.project_path) AS "project",
    record.project_id AS "project_id",
    CAST(record.scope AS VARCHAR) AS "scope",
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
    CAST(record.lock_wait_ms AS DOUBLE) AS "lock_wait_ms",
    CAST(record.lock_held_ms AS DOUBLE) AS "lock_held_ms",
    CAST(record.failure_code AS VARCHAR) AS "failure_code",
    CAST(record.failure_message AS VARCHAR) AS "failure_message",
    project.payload ->> 'web_url' AS "web_url"
FROM main.sync_runs AS record
LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by;

-- Each row: an issue or merge request that a run was asked for.
CREATE VIEW gitlab.outcomes AS
SELECT
    CAST(record.run_id AS VARCHAR) AS "run_id",
    COALESCE(project.path, record.project_path) AS "project",
    record.project_id AS "project_id",
    CAST(record.entity_type AS VARCHAR) AS "entity_type",
    CAST(record.iid AS BIGINT) AS "iid",
    CAST(record.fetched AS BOOLEAN) AS "fetched",
    CAST(record.ingested AS BOOLEAN) AS "ingested",
    CAST(record.stale_skipped AS BOOLEAN) AS "stale_skipped",
    CAST(record.tombstoned AS BOOLEAN) AS "tombstoned",
    CAST(record.unchanged AS BOOLEAN) AS "unchanged",
    CAST(record.settled AS BOOLEAN) AS "settled",
    CAST(record.failure_code AS VARCHAR) AS "failure_code",
    CAST(record.failure_message AS VARCHAR) AS "failure_message",
    CAST(record.failure_stage AS VARCHAR) AS "failure_stage",
    json_extract_string(record.warnings, '$[*].message') AS "warnings",
    CAST(record.regenerated_document_ids AS VARCHAR[]) AS "regenerated_document_ids",
    CAST(record.embedded_document_ids AS VARCHAR[]) AS "embedded_document_ids",
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
    CAST(record.run_id AS VARCHAR) AS "run_id",
    COALESCE(project.path, record.project_path) AS "project",
    record.project_id AS "project_id",
    CAST(record.entity_type AS VARCHAR) AS "entity_type",
    CAST(record.iid AS BIGINT) AS "iid",
    CAST(record.position AS BIGINT) AS "position",
    CAST(record.stage AS VARCHAR) AS "stage",
    CAST(record.dependent AS VARCHAR) AS "dependent",
    CAST(record.code AS VARCHAR) AS "code",
    CAST(record.message AS VARCHAR) AS "message",
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
