"""What has to be computed: how long a label or a state lasted, and the times of a merge request.

The ledger has what GitLab counts them from: events, and the state of the issue or merge request itself. How it is
done stands in ``ledger/sql/views/computed.sql``.
"""

from surgical_pipeline.dataset.columns import Column, ColumnType, Table, derived

_WHOSE = (
    derived("project", ColumnType.TEXT, "path of the project"),
    derived("project_id", ColumnType.INTEGER, "GitLab's id of the project"),
    derived("noteable_type", ColumnType.TEXT, "whose it is: `Issue` or `MergeRequest`"),
    derived("noteable_iid", ColumnType.INTEGER, "number of that in its project"),
)
_SEEN: tuple[Column, ...] = (
    derived("confidential", ColumnType.BOOLEAN, "the issue is confidential"),
    derived("web_url", ColumnType.TEXT, "page of the issue or merge request"),
)

LABEL_SPANS = Table(
    "label_spans",
    "a time in which an issue or merge request had a label; removed and added again, it has two",
    (
        *_WHOSE,
        derived("label_name", ColumnType.TEXT, "the label"),
        derived(
            "from_at",
            ColumnType.TIME,
            "when it was added; when the issue or merge request was opened if there is no event of that; "
            "NULL: not known, because the events are older than the label or were never fetched",
        ),
        derived("to_at", ColumnType.TIME, "when it was removed; NULL: it is still there"),
        derived("from_creation", ColumnType.BOOLEAN, "`from_at` is when the issue or merge request was opened"),
        *_SEEN,
    ),
    hidden="confidential",
    computed=True,
)

STATE_SPANS = Table(
    "state_spans",
    "a time in which an issue or merge request was in a state; closed and opened again, it has three",
    (
        *_WHOSE,
        derived("state", ColumnType.TEXT, "`opened`, `closed`, `merged` or `locked`"),
        derived("from_at", ColumnType.TIME, "when it began"),
        derived("to_at", ColumnType.TIME, "when it ended; NULL: it lasts"),
        *_SEEN,
    ),
    hidden="confidential",
    computed=True,
)

MERGE_REQUEST_TIMES = Table(
    "merge_request_times",
    "a merge request, with when it came how far",
    (
        derived("project", ColumnType.TEXT, "path of the project"),
        derived("project_id", ColumnType.INTEGER, "GitLab's id of the project"),
        derived("iid", ColumnType.INTEGER, "its number in its project"),
        derived("id", ColumnType.INTEGER, "GitLab's id of the merge request"),
        derived("author_username", ColumnType.TEXT, "who opened it"),
        derived("state", ColumnType.TEXT, "`opened`, `closed`, `merged` or `locked`"),
        derived("opened_at", ColumnType.TIME, "when it was opened"),
        derived("first_note_at", ColumnType.TIME, "first note by another person, internal ones aside"),
        derived(
            "approved_at",
            ColumnType.TIME,
            "first approval, from GitLab's note of it or the approvals; NULL: there is none, or it is not known",
        ),
        derived("merged_at", ColumnType.TIME, "when it was merged"),
        derived("closed_at", ColumnType.TIME, "when it was closed without being merged"),
        derived("web_url", ColumnType.TEXT, "its page"),
    ),
    computed=True,
)

COMPUTED = (LABEL_SPANS, STATE_SPANS, MERGE_REQUEST_TIMES)
