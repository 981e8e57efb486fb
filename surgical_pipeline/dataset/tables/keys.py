"""What the views have in common: the keys that say whose record it is, and where that comes from."""

from surgical_pipeline.dataset.columns import Column, ColumnType, derived

PROJECT_JOIN = """LEFT JOIN main.projects AS project ON project.project_id = record.project_id
LEFT JOIN main.projects AS successor ON successor.project_id = project.superseded_by"""

SUPERSEDED_AT = "COALESCE(successor.created_at, successor.fetched_at)"
"""When its project was deleted, as far as known: another has been created under the path."""


def entity_join(entity_type: str, iid: str, *, outer: bool = False) -> str:
    """The issue or merge request that a record belongs to. Its address is read before the join: once each."""
    return f"""{"LEFT JOIN" if outer else "JOIN"} (
    SELECT project_id, entity_type, iid, confidential, deleted_at, payload ->> 'web_url' AS web_url
    FROM main.entities
) AS entity
    ON entity.project_id = record.project_id AND entity.entity_type = {entity_type} AND entity.iid = {iid}
{PROJECT_JOIN}"""


DELETED_WITH_ENTITY = f"COALESCE(entity.deleted_at, {SUPERSEDED_AT})"

PROJECT = (
    derived("project", ColumnType.TEXT, "path of the project, such as `acme/rocket`", sql="project.path"),
    derived("project_id", ColumnType.INTEGER, "GitLab's id of the project", sql="record.project_id"),
)


def noteable_type(of: str) -> str:
    return f"CASE {of} WHEN 'issue' THEN 'Issue' ELSE 'MergeRequest' END"


def noteable(kind: str, iid: str) -> tuple[Column, ...]:
    """The key of a record that issues and merge requests have."""
    return (
        *PROJECT,
        derived(
            "noteable_type",
            ColumnType.TEXT,
            "whose it is: `Issue` or `MergeRequest`",
            sql=noteable_type(f"record.{kind}"),
        ),
        derived("noteable_iid", ColumnType.INTEGER, "number of that in its project", sql=f"record.{iid}"),
    )


def of_merge_request(name: str = "merge_request_iid") -> tuple[Column, ...]:
    return (
        *PROJECT,
        derived(name, ColumnType.INTEGER, "number of the merge request in its project", sql="record.iid"),
    )


CONFIDENTIAL = derived(
    "confidential",
    ColumnType.BOOLEAN,
    "the issue it belongs to is confidential",
    sql="entity.confidential",
)
ENTITY_URL = derived("web_url", ColumnType.TEXT, "page of the issue or merge request", sql="entity.web_url")
FETCHED = (
    derived("fetched_at", ColumnType.TIME, "when the fetch began that brought it", sql="record.fetched_at"),
    derived("run_id", ColumnType.TEXT, "run that wrote it", sql="record.run_id"),
)
