"""What people said: notes, discussions, emoji."""

from surgical_pipeline.dataset.columns import ColumnType, Table, boolean, derived, integer, text, time
from surgical_pipeline.dataset.tables.keys import (
    CONFIDENTIAL,
    DELETED_WITH_ENTITY,
    ENTITY_URL,
    FETCHED,
    entity_join,
    noteable,
)

_OF_NOTEABLE = entity_join("record.noteable_type", "record.noteable_iid")
_INTERNAL_OR_CONFIDENTIAL = "confidential OR internal"

NOTES = Table(
    "notes",
    "a note: a comment, or what GitLab says itself",
    (
        *noteable("noteable_type", "noteable_iid"),
        integer("id", "GitLab's id of the note", sql="record.note_id"),
        derived("discussion_id", ColumnType.TEXT, "the discussion it is part of", sql="record.discussion_id"),
        integer("noteable_id", "GitLab's id of the issue or merge request"),
        text("type", "`DiscussionNote`, `DiffNote`; NULL: a single comment"),
        text("body", "its text, in Markdown"),
        integer("author.id", "id of who wrote it"),
        text("author.username", "who wrote it"),
        text("author.name", "their name"),
        time("created_at", "when it was written", sql="record.created_at"),
        time("updated_at", "when it was last changed", sql="record.updated_at"),
        boolean("system", "GitLab wrote it, such as `changed the description`", sql="record.system"),
        boolean("resolvable", "it can be resolved"),
        boolean("resolved", "it is resolved"),
        integer("resolved_by.id", "id of who resolved it"),
        text("resolved_by.username", "who resolved it"),
        time("resolved_at", "when it was resolved"),
        text("commit_id", "the commit it is about"),
        text("position.position_type", "`text`, `image` or `file`: a note on a diff"),
        text("position.new_path", "file in the diff"),
        integer("position.new_line", "line in the new version of the file"),
        text("position.old_path", "its name in the old version"),
        integer("position.old_line", "line in the old version of the file"),
        derived(
            "internal",
            ColumnType.BOOLEAN,
            "guests do not see it; in GitLab before 15.0 the field is `confidential`",
            sql="record.internal",
        ),
        CONFIDENTIAL,
        derived(
            "web_url",
            ColumnType.TEXT,
            "its place on the page",
            sql="entity.web_url || '#note_' || record.note_id",
        ),
        *FETCHED,
    ),
    record="main.notes",
    joins=_OF_NOTEABLE,
    deleted_at=DELETED_WITH_ENTITY,
    hidden=_INTERNAL_OR_CONFIDENTIAL,
)

_SUMMARY = """JOIN (
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
            {resolvable:BOOLEAN} AS resolvable, {resolved:BOOLEAN} AS resolved,
            {resolved_at:TIMESTAMPTZ} AS resolved_at, {resolved_by.id:BIGINT} AS resolved_by_id,
            {resolved_by.username:VARCHAR} AS resolved_by_username,
            {position.new_path:VARCHAR} AS new_path, {position.new_line:BIGINT} AS new_line
        FROM @parsed(main.notes)@ AS record
    ) AS note
    GROUP BY project_id, noteable_type, noteable_iid, discussion_id
) AS notes
    ON notes.project_id = record.project_id AND notes.noteable_type = record.noteable_type
    AND notes.noteable_iid = record.noteable_iid AND notes.discussion_id = record.discussion_id
"""

DISCUSSIONS = Table(
    "discussions",
    "a discussion: a thread, or a single note",
    (
        *noteable("noteable_type", "noteable_iid"),
        text(
            "id", "GitLab's id of the discussion, unique in its issue or merge request", sql="record.discussion_id"
        ),
        boolean("individual_note", "a single comment, not a thread", sql="record.individual_note"),
        derived("notes_count", ColumnType.INTEGER, "how many notes it has", sql="notes.notes_count"),
        derived("author_username", ColumnType.TEXT, "who began it", sql="notes.author_username"),
        derived("created_at", ColumnType.TIME, "when its first note was written", sql="notes.created_at"),
        derived("updated_at", ColumnType.TIME, "when one of its notes was last changed", sql="notes.updated_at"),
        derived("resolvable", ColumnType.BOOLEAN, "it can be resolved", sql="COALESCE(notes.resolvable, FALSE)"),
        derived(
            "resolved",
            ColumnType.BOOLEAN,
            "all that can be resolved is; NULL: nothing can",
            sql="notes.resolved",
        ),
        derived(
            "resolved_by_id",
            ColumnType.INTEGER,
            "id of who resolved its last note",
            sql="CASE WHEN notes.resolved THEN notes.resolved_by_id END",
        ),
        derived(
            "resolved_by_username",
            ColumnType.TEXT,
            "who resolved its last note",
            sql="CASE WHEN notes.resolved THEN notes.resolved_by_username END",
        ),
        derived(
            "resolved_at",
            ColumnType.TIME,
            "when that was",
            sql="CASE WHEN notes.resolved THEN notes.resolved_at END",
        ),
        derived("position_new_path", ColumnType.TEXT, "file that it is about", sql="notes.position_new_path"),
        derived("position_new_line", ColumnType.INTEGER, "line that it is about", sql="notes.position_new_line"),
        derived("internal", ColumnType.BOOLEAN, "it has a note that guests do not see", sql="notes.internal"),
        CONFIDENTIAL,
        derived(
            "web_url",
            ColumnType.TEXT,
            "its place on the page",
            sql="entity.web_url || '#note_' || notes.first_note_id",
        ),
        *FETCHED,
    ),
    record="main.discussions",
    joins=_SUMMARY + _OF_NOTEABLE,
    deleted_at=DELETED_WITH_ENTITY,
    hidden=_INTERNAL_OR_CONFIDENTIAL,
)

AWARD_EMOJI = Table(
    "award_emoji",
    "an emoji that a person gave an issue or merge request",
    (
        *noteable("entity_type", "iid"),
        integer("id", "GitLab's id of the award"),
        text("name", "the emoji, such as `thumbsup`"),
        integer("user.id", "id of who gave it"),
        text("user.username", "who gave it"),
        time("created_at", "when"),
        time("updated_at", "when it was last changed"),
        integer("awardable_id", "GitLab's id of the issue or merge request"),
        text("awardable_type", "`Issue` or `MergeRequest`"),
        CONFIDENTIAL,
        ENTITY_URL,
        *FETCHED,
    ),
    record="(SELECT * FROM main.linked_records WHERE dependent = 'award_emoji')",
    joins=entity_join("record.entity_type", "record.iid"),
    deleted_at=DELETED_WITH_ENTITY,
    hidden="confidential",
)

CONVERSATION = (NOTES, DISCUSSIONS, AWARD_EMOJI)
