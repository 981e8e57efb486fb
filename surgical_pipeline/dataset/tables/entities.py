"""Issues and merge requests, and what stands in their own payload as a list: people and labels."""

from surgical_pipeline.dataset.columns import (
    Column,
    ColumnType,
    Table,
    boolean,
    day,
    derived,
    integer,
    text,
    texts,
    time,
)
from surgical_pipeline.dataset.tables.keys import (
    FETCHED,
    PROJECT,
    PROJECT_JOIN,
    SUPERSEDED_AT,
    noteable,
    of_merge_request,
)

_DELETED = f"COALESCE(record.deleted_at, {SUPERSEDED_AT})"


def _entity(what: str, states: str) -> tuple[Column, ...]:
    """Fields that issues and merge requests share."""
    return (
        *PROJECT,
        integer("id", f"GitLab's id of the {what}, unique in all projects", sql="record.gitlab_id"),
        integer("iid", "its number in its project", sql="record.iid"),
        text("title", "its title", sql="record.title"),
        text("state", states, sql="record.state"),
        text("description", "its text, in Markdown"),
        time("created_at", "when it was opened"),
        time("updated_at", "when it was last changed", sql="record.updated_at"),
        time("closed_at", "when it was closed; NULL: it is not closed"),
        integer("closed_by.id", "id of who closed it"),
        text("closed_by.username", "who closed it"),
        integer("author.id", "id of who opened it"),
        text("author.username", "who opened it"),
        text("author.name", "their name"),
        texts("assignees[].username", "whom it is assigned to", otherwise="assignee.username"),
        texts("labels[name]", "names of its labels"),
        integer("milestone.id", "id of its milestone"),
        integer("milestone.iid", "number of the milestone in its project or group"),
        text("milestone.title", "title of the milestone"),
        text("milestone.state", "`active` or `closed`"),
        day("milestone.start_date", "when the milestone starts"),
        day("milestone.due_date", "when the milestone is due"),
        integer("upvotes", "thumbs up"),
        integer("downvotes", "thumbs down"),
        integer("user_notes_count", "notes by people, as GitLab counts them"),
        boolean("discussion_locked", "only members may comment"),
        integer("time_stats.time_estimate", "estimated time, in seconds"),
        integer("time_stats.total_time_spent", "time spent, in seconds"),
        integer("task_completion_status.count", "checkboxes in the description"),
        integer("task_completion_status.completed_count", "checkboxes that are ticked"),
        text("references.full", "how people write it, such as `acme/rocket#12`"),
        text("web_url", "its page"),
    )


def _of_type(entity_type: str) -> str:
    return f"(SELECT * FROM main.entities WHERE entity_type = '{entity_type}')"


ISSUES = Table(
    "issues",
    "an issue",
    (
        *_entity("issue", "`opened` or `closed`"),
        boolean("confidential", "only members of the project may see it", sql="record.confidential"),
        text("issue_type", "`issue`, `incident`, `task`, …"),
        text("severity", "of an incident"),
        day("due_date", "when it is due"),
        integer("weight", "its weight"),
        text("health_status", "`on_track`, `needs_attention` or `at_risk`"),
        integer("merge_requests_count", "merge requests that mention it"),
        integer("blocking_issues_count", "issues that it blocks"),
        boolean("has_tasks", "its description has checkboxes"),
        integer("epic.id", "id of its epic"),
        integer("epic.iid", "number of the epic in its group"),
        text("epic.title", "title of the epic"),
        integer("iteration.id", "id of its iteration"),
        day("iteration.start_date", "when the iteration starts"),
        day("iteration.due_date", "when the iteration ends"),
        integer("moved_to_id", "id of the issue that it became in another project", sql="record.moved_to_id"),
        text("service_desk_reply_to", "address that wrote to the service desk"),
        boolean("imported", "it was imported"),
        text("imported_from", "where from"),
        *FETCHED,
    ),
    record=_of_type("issue"),
    joins=PROJECT_JOIN,
    deleted_at=_DELETED,
    hidden="confidential",
)

MERGE_REQUESTS = Table(
    "merge_requests",
    "a merge request",
    (
        *_entity("merge request", "`opened`, `closed`, `merged` or `locked`"),
        boolean("draft", "it is a draft"),
        texts("reviewers[].username", "who is asked to review it"),
        text("source_branch", "the branch with the changes"),
        text("target_branch", "the branch it merges into"),
        integer("source_project_id", "project of the source branch"),
        integer("target_project_id", "project of the target branch"),
        time("merged_at", "when it was merged; NULL: it is not merged"),
        integer("merge_user.id", "id of who merged it or set it to merge"),
        text("merge_user.username", "who merged it or set it to merge"),
        integer("merged_by.id", "as `merge_user_id`, of servers before 14.7"),
        text("merged_by.username", "as `merge_user_username`, of servers before 14.7"),
        time("prepared_at", "when GitLab had prepared it"),
        text("detailed_merge_status", "whether it can be merged, and why not"),
        text("merge_status", "the same, of servers before 15.6"),
        boolean("has_conflicts", "it has conflicts with the target branch"),
        boolean("blocking_discussions_resolved", "no discussion that blocks it is unresolved"),
        boolean("merge_when_pipeline_succeeds", "it is set to merge"),
        boolean("squash", "its commits become one"),
        boolean("should_remove_source_branch", "the source branch goes when it is merged"),
        text("sha", "head of the source branch"),
        text("merge_commit_sha", "the commit that merged it"),
        text("squash_commit_sha", "the commit that its commits became"),
        boolean("imported", "it was imported"),
        text("imported_from", "where from"),
        *FETCHED,
    ),
    record=_of_type("merge_request"),
    joins=PROJECT_JOIN,
    deleted_at=_DELETED,
)

_PERSON = (
    integer("id", "GitLab's id of the person"),
    text("username", "username"),
    text("name", "name"),
    text("state", "`active`, `blocked`, …"),
)
_OF_ENTITY = (
    derived("confidential", ColumnType.BOOLEAN, "the issue is confidential", sql="record.confidential"),
    derived("web_url", ColumnType.TEXT, "page of the issue or merge request", sql="record.web_url"),
    *FETCHED,
)


def _listed(listed: str, *, otherwise: str = "none") -> str:
    """One record for each element of a list in an entity's payload; else for the one object in its place."""
    return f"""(
    SELECT project_id, entity_type, iid, confidential, deleted_at, fetched_at, run_id,
        {{web_url}} AS web_url, @elements({{{listed}[]:JSON}}; {{{otherwise}:JSON}})@ AS payload
    FROM @parsed(main.entities)@ AS record
)"""


ASSIGNEES = Table(
    "assignees",
    "a person to whom an issue or merge request is assigned",
    (*noteable("entity_type", "iid"), *_PERSON, *_OF_ENTITY),
    record=_listed("assignees", otherwise="assignee"),
    joins=PROJECT_JOIN,
    deleted_at=_DELETED,
    hidden="confidential",
)

REVIEWERS = Table(
    "reviewers",
    "a person who is asked to review a merge request",
    (*of_merge_request(), *_PERSON, *_OF_ENTITY[1:]),
    record=_listed("reviewers"),
    joins=PROJECT_JOIN,
    deleted_at=_DELETED,
)

LABELS = Table(
    "labels",
    "a label that an issue or merge request has",
    (
        *noteable("entity_type", "iid"),
        Column(
            "name",
            ColumnType.TEXT,
            "name of the label",
            path="name",
            sql="COALESCE({name}, @text(record.payload)@)",
        ),
        integer("id", "GitLab's id of the label; of issues not known"),
        text("color", "its color; of issues not known"),
        text("description", "what it means; of issues not known"),
        *_OF_ENTITY,
    ),
    record=_listed("labels"),
    joins=PROJECT_JOIN,
    deleted_at=_DELETED,
    hidden="confidential",
)

ENTITIES = (ISSUES, MERGE_REQUESTS, ASSIGNEES, REVIEWERS, LABELS)
