"""Where GitLab keeps what this project asks for: path segments below ``/api/v4``, from checked integers only."""

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.scope import MAX_IID, EntityKey, EntityType

COLLECTIONS = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge_requests"}

DEPENDENT_PATHS = {
    Dependent.DISCUSSIONS: "discussions",
    Dependent.LABEL_EVENTS: "resource_label_events",
    Dependent.STATE_EVENTS: "resource_state_events",
    Dependent.MILESTONE_EVENTS: "resource_milestone_events",
    Dependent.LINKS: "links",
    Dependent.CLOSED_BY: "closed_by",
    Dependent.COMMITS: "commits",
    Dependent.DIFFS: "diffs",
    Dependent.CLOSES_ISSUES: "closes_issues",
    Dependent.APPROVALS: "approvals",
    Dependent.AWARD_EMOJI: "award_emoji",
}


def entity_path(project_id: int, key: EntityKey) -> tuple[str | int, ...]:
    return ("projects", checked_id(project_id), COLLECTIONS[key.entity_type], checked_iid(key.iid))


def checked_id(project_id: int) -> int:
    if isinstance(project_id, bool) or not 1 <= project_id < 2**63:
        raise ValueError(f"a project id is a positive integer, not {project_id!r}")
    return project_id


def checked_iid(iid: int) -> int:
    if isinstance(iid, bool) or not 1 <= iid <= MAX_IID:
        raise ValueError(f"an IID lies between 1 and {MAX_IID}, not {iid!r}")
    return iid
