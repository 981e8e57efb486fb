"""The parts of GitLab's answers that this project reads, checked at the edge.

Field names and meanings are GitLab's (docs.gitlab.com/api); servers from 11 to 18 differ, so nearly every field
may be missing or null, and unknown fields are ignored. Times are UTC; one without an offset is taken as UTC. The
raw payload is stored too, so nothing is lost that is not modelled here.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from surgical_pipeline.gitlab.field_types import (
    Day,
    Flag,
    NoneWhereUnreadable,
    NullIsEmpty,
    PositiveId,
    TrackerId,
    UtcTime,
)


class Payload(BaseModel):
    # Each validator is made when it is first used: a run needs a few of them.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class User(Payload):
    id: PositiveId | None = None
    username: str | None = None
    name: str | None = None
    web_url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        """GitLab's own schema allows a bare name for ``resolved_by``."""
        return {"username": value} if isinstance(value, str) else value

    @property
    def handle(self) -> str | None:
        """The user's displayed name: the username, else the name."""
        return self.username or self.name


class Label(Payload):
    """From a plain name, or from an object where ``with_labels_details`` was asked for."""

    name: str
    color: str | None = None
    description: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class Milestone(Payload):
    id: PositiveId | None = None
    iid: PositiveId | None = None
    title: str | None = None
    description: str | None = None
    state: str | None = None
    web_url: str | None = None


class References(Payload):
    """``full``: ``group/project#12``, as people write it."""

    short: str | None = None
    relative: str | None = None
    full: str | None = None


Users = Annotated[tuple[User, ...], NullIsEmpty]
Labels = Annotated[tuple[Label, ...], NullIsEmpty]


class Project(Payload):
    """``issues_enabled`` and ``merge_requests_enabled`` are also false if the token's user may not see them."""

    id: PositiveId
    path_with_namespace: str
    web_url: Annotated[str | None, NoneWhereUnreadable] = None
    created_at: Annotated[UtcTime | None, NoneWhereUnreadable] = None
    issues_enabled: bool | None = Field(default=None, strict=True)
    merge_requests_enabled: bool | None = Field(default=None, strict=True)


class Entity(Payload):
    """What issues and merge requests have in common.

    ``id`` is GitLab's global id; a tracker outside GitLab sends text. ``iid`` is the number people know.
    """

    id: TrackerId
    iid: PositiveId | None = None
    project_id: PositiveId | None = None
    title: str | None = None
    description: str | None = None
    state: str | None = None
    labels: Labels = ()
    milestone: Milestone | None = None
    author: User | None = None
    assignee: User | None = None
    """Sent by servers with a single assignee; ``assigned`` reads either."""
    assignees: Users = ()
    created_at: UtcTime | None = None
    updated_at: UtcTime | None = None
    closed_at: UtcTime | None = None
    closed_by: User | None = None
    web_url: str | None = None
    references: References | None = None
    discussion_locked: Flag = False

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def milestone_title(self) -> str | None:
        return self.milestone.title if self.milestone else None

    @property
    def assigned(self) -> tuple[User, ...]:
        return self.assignees or ((self.assignee,) if self.assignee else ())


class Issue(Entity):
    """``moved_to_id``: global id of the issue that this one became when it was moved to another project."""

    confidential: Flag = False
    due_date: Day | None = None
    issue_type: str | None = None
    weight: int | None = None
    moved_to_id: PositiveId | None = None


class MergeRequest(Entity):
    """``sha``: head of the source branch. ``draft`` reads the older ``work_in_progress`` too."""

    target_project_id: PositiveId | None = None
    source_project_id: PositiveId | None = None
    source_branch: str | None = None
    target_branch: str | None = None
    sha: str | None = None
    merge_commit_sha: str | None = None
    draft: Flag = False
    work_in_progress: Flag = False
    reviewers: Users = ()
    merged_at: UtcTime | None = None
    merged_by: User | None = None
    merge_user: User | None = None

    @property
    def is_draft(self) -> bool:
        return self.draft or self.work_in_progress


class DiffLine(Payload):
    """A line of a diff; of one that was added or removed the other number is missing."""

    new_line: int | None = None
    old_line: int | None = None


class LineRange(Payload):
    """The lines of a note on several lines; a note made with GitLab's API may name none."""

    start: DiffLine | None = None


class Position(Payload):
    """Where in a diff a note stands, at its last line; an image note has no lines."""

    new_path: str | None = None
    old_path: str | None = None
    new_line: int | None = None
    old_line: int | None = None
    line_range: Annotated[LineRange | None, NoneWhereUnreadable] = None


class Note(Payload):
    """``internal`` is ``confidential`` on older servers; ``hidden_from_guests`` reads either."""

    id: PositiveId
    body: str | None = None
    author: User | None = None
    system: Flag = False
    internal: Flag = False
    confidential: Flag = False
    resolvable: Flag = False
    resolved: Flag = False
    resolved_by: User | None = None
    resolved_at: UtcTime | None = None
    position: Position | None = None
    created_at: UtcTime | None = None
    updated_at: UtcTime | None = None

    @property
    def hidden_from_guests(self) -> bool:
        return self.internal or self.confidential


class Discussion(Payload):
    id: Annotated[str, Field(min_length=1)]
    individual_note: Flag = False
    notes: Annotated[tuple[Note, ...], NullIsEmpty] = ()


class ResourceEvent(Payload):
    id: PositiveId
    user: User | None = None
    created_at: UtcTime | None = None


class LabelEvent(ResourceEvent):
    """``action``: ``add`` or ``remove``; ``label`` is null once the label was deleted."""

    action: str | None = None
    label: Label | None = None


class StateEvent(ResourceEvent):
    """``state``: ``opened``, ``closed``, ``reopened`` or ``merged``."""

    state: str | None = None


class MilestoneEvent(ResourceEvent):
    """``action``: ``add`` or ``remove``; ``milestone`` is null once it was deleted."""

    action: str | None = None
    milestone: Milestone | None = None


class IssueLink(Issue):
    """The issue at the other end. ``link_type``: ``relates_to``, ``blocks`` or ``is_blocked_by``."""

    issue_link_id: PositiveId | None = None
    link_type: str | None = None


class Commit(Payload):
    """Its times are left out: they are whatever the author's clock said, of any year."""

    id: Annotated[str, Field(min_length=1)]
    short_id: str | None = None
    title: str | None = None
    message: str | None = None
    author_name: str | None = None
    web_url: str | None = None


class Diff(Payload):
    """One file. ``diff`` is empty if GitLab found it too large to show."""

    new_path: str | None = None
    old_path: str | None = None
    new_file: Flag = False
    renamed_file: Flag = False
    deleted_file: Flag = False
    diff: str | None = None


class Approval(Payload):
    user: User | None = None
    approved_at: UtcTime | None = None


class Approvals(Payload):
    """Who approved a merge request; only paid editions send ``approvals_left``."""

    id: PositiveId | None = None
    iid: PositiveId | None = None
    project_id: PositiveId | None = None
    approved: Flag = False
    approvals_required: int | None = None
    approvals_left: int | None = None
    approved_by: Annotated[tuple[Approval, ...], NullIsEmpty] = ()


class AwardEmoji(Payload):
    """``name``: such as ``thumbsup``. ``awardable_id``: GitLab's global id of the issue or merge request."""

    id: PositiveId
    name: str | None = None
    user: User | None = None
    awardable_id: PositiveId | None = None
    awardable_type: str | None = None
    created_at: UtcTime | None = None


class Token(Payload):
    """``/personal_access_tokens/self``."""

    scopes: Annotated[tuple[str, ...], NullIsEmpty] = ()


class Version(Payload):
    version: str
