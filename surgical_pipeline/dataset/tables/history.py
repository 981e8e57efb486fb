"""What happened: label, state and milestone events."""

from surgical_pipeline.dataset.columns import Column, Table, integer, text, time
from surgical_pipeline.dataset.tables.keys import (
    CONFIDENTIAL,
    DELETED_WITH_ENTITY,
    ENTITY_URL,
    FETCHED,
    entity_join,
    noteable,
)


def _events(name: str, rows: str, *columns: Column) -> Table:
    return Table(
        name,
        rows,
        (
            *noteable("noteable_type", "noteable_iid"),
            integer("id", "GitLab's id of the event, unique among these events", sql="record.event_id"),
            *columns,
            integer("user.id", "id of who did it"),
            text("user.username", "who did it"),
            text("user.name", "their name"),
            time("created_at", "when"),
            text("resource_type", "`Issue` or `MergeRequest`"),
            integer("resource_id", "GitLab's id of the issue or merge request"),
            CONFIDENTIAL,
            ENTITY_URL,
            *FETCHED,
        ),
        record=f"(SELECT * FROM main.resource_events WHERE event_type = '{name}')",
        joins=entity_join("record.noteable_type", "record.noteable_iid"),
        deleted_at=DELETED_WITH_ENTITY,
        hidden="confidential",
    )


LABEL_EVENTS = _events(
    "label_events",
    "a label added or removed",
    text("action", "`add` or `remove`"),
    integer("label.id", "GitLab's id of the label"),
    text("label.name", "its name now; NULL: the label was deleted"),
    text("label.color", "its color"),
)

STATE_EVENTS = _events(
    "state_events",
    "a change of state",
    text("state", "the new state: `closed`, `reopened`, `merged`"),
)

MILESTONE_EVENTS = _events(
    "milestone_events",
    "a milestone set or removed",
    text("action", "`add` or `remove`"),
    integer("milestone.id", "GitLab's id of the milestone"),
    integer("milestone.iid", "its number in its project or group"),
    text("milestone.title", "its title now; NULL: the milestone was deleted"),
)

HISTORY = (LABEL_EVENTS, STATE_EVENTS, MILESTONE_EVENTS)
