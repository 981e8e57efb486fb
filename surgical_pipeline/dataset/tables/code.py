"""What belongs to code: commits, diffs and approvals of merge requests; and links between issues."""

from surgical_pipeline.dataset.columns import (
    Column,
    ColumnType,
    Table,
    boolean,
    derived,
    integer,
    own,
    text,
    texts,
    time,
)
from surgical_pipeline.dataset.tables.keys import (
    DELETED_WITH_ENTITY,
    ENTITY_URL,
    FETCHED,
    PROJECT,
    entity_join,
    of_merge_request,
)

_OF_ENTITY = entity_join("record.entity_type", "record.iid")
_POSITION = own(ColumnType.INTEGER, "position", "its place in GitLab's list, from 0")


def _records(dependent: str) -> str:
    return f"(SELECT * FROM main.linked_records WHERE dependent = '{dependent}')"


COMMITS = Table(
    "commits",
    "a commit of a merge request",
    (
        *of_merge_request(),
        text("id", "its SHA"),
        text("short_id", "the first characters of its SHA"),
        text("title", "first line of its message"),
        text("message", "its message"),
        text("author_name", "who wrote it"),
        text("author_email", "their address"),
        time("authored_date", "when it was written"),
        text("committer_name", "who committed it"),
        text("committer_email", "their address"),
        time("committed_date", "when it was committed"),
        time("created_at", "as `committed_date`"),
        texts("parent_ids[]", "SHAs of its parents"),
        _POSITION,
        text("web_url", "its page"),
        *FETCHED,
    ),
    record=_records("commits"),
    joins=_OF_ENTITY,
    deleted_at=DELETED_WITH_ENTITY,
)

_TEXT_OF_DIFF = r"regexp_replace({diff}, '^--- [^\n]*\n\+\+\+ [^\n]*\n', '')"


def _lines(sign: str) -> str:
    return f"CASE WHEN {{diff}} <> '' THEN @count({_TEXT_OF_DIFF}; ^{sign})@ END"


DIFFS = Table(
    "diffs",
    "a file that a merge request changes",
    (
        *of_merge_request(),
        text("old_path", "its name before"),
        text("new_path", "its name after"),
        text("a_mode", "its mode before"),
        text("b_mode", "its mode after"),
        boolean("new_file", "it is added"),
        boolean("renamed_file", "it is renamed"),
        boolean("deleted_file", "it is deleted"),
        boolean("generated_file", "it is generated"),
        boolean("collapsed", "GitLab leaves its text out, and shows it on request"),
        boolean("too_large", "GitLab leaves its text out"),
        text("diff", "what changes"),
        derived("lines_added", ColumnType.INTEGER, "lines added; NULL: no text", sql=_lines(r"\+")),
        derived("lines_removed", ColumnType.INTEGER, "lines removed; NULL: no text", sql=_lines("-")),
        _POSITION,
        derived("web_url", ColumnType.TEXT, "the changes' page", sql="entity.web_url || '/diffs'"),
        *FETCHED,
    ),
    record=_records("diffs"),
    joins=_OF_ENTITY,
    deleted_at=DELETED_WITH_ENTITY,
)

APPROVALS = Table(
    "approvals",
    "the approvals of a merge request",
    (
        *of_merge_request(),
        boolean("approved", "it has all approvals that it needs"),
        integer("approvals_required", "approvals that it needs"),
        integer("approvals_left", "approvals that are missing"),
        texts("approved_by[].user.username", "who approved it"),
        Column(
            "approved_at",
            ColumnType.TIME,
            "when the first of those approved it, where GitLab says so",
            sql="@earliest({approved_by[].approved_at})@",
        ),
        boolean("has_approval_rules", "rules say who has to approve it"),
        ENTITY_URL,
        *FETCHED,
    ),
    record=_records("approvals"),
    joins=_OF_ENTITY,
    deleted_at=DELETED_WITH_ENTITY,
)

LINKS = Table(
    "links",
    "a link from an issue to another",
    (
        *PROJECT,
        derived("issue_iid", ColumnType.INTEGER, "number of the issue in its project", sql="record.iid"),
        integer("issue_link_id", "GitLab's id of the link"),
        text("link_type", "`relates_to`, `blocks` or `is_blocked_by`"),
        time("link_created_at", "when it was made"),
        time("link_updated_at", "when it was last changed"),
        integer("id", "of the other issue: its id", name="linked_id"),
        integer("project_id", "its project", name="linked_project_id"),
        integer("iid", "its number there", name="linked_iid"),
        text("title", "its title", name="linked_title"),
        text("state", "its state", name="linked_state"),
        text("web_url", "its page", name="linked_web_url"),
        derived(
            "confidential",
            ColumnType.BOOLEAN,
            "one of the two is confidential",
            sql="entity.confidential OR COALESCE({confidential:BOOLEAN}, FALSE)",
        ),
        ENTITY_URL,
        *FETCHED,
    ),
    record=_records("links"),
    joins=_OF_ENTITY,
    deleted_at=DELETED_WITH_ENTITY,
    hidden="confidential",
)

CODE = (LINKS, COMMITS, DIFFS, APPROVALS)
