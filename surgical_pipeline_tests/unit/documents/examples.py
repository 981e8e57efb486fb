"""An issue, a merge request and a discussion with something in every part of their text."""

from datetime import UTC, date, datetime

from surgical_pipeline.documents.text import (
    DiscussionText,
    EntityText,
    HistoryEvent,
    NoteText,
    discussion_document,
)
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType


def moment(day: int, hour: int = 9) -> datetime:
    return datetime(2024, 3, day, hour, 30, tzinfo=UTC)


ISSUE = EntityText(
    project_path="acme/rocket",
    key=EntityKey(EntityType.ISSUE, 12),
    project_id=7,
    title="Fuel pump  leaks\tat low pressure",
    state="closed",
    labels=("severity::2", "bug"),
    milestone="Launch 3",
    author="alice",
    assignees=("carol", "bob"),
    created_at=moment(1),
    updated_at=moment(9),
    closed_at=moment(8),
    due_date=date(2024, 3, 20),
    web_url="https://gitlab.example.com/acme/rocket/-/issues/12",
    references=("relates to acme/rocket#9", "closed by acme/rocket!34"),
    description=(
        "/label ~bug\n<!-- please fill in -->\n## What happens\n\nBelow 2 bar it leaks:\n\n"
        "```\npressure=1.9 leak=true\n/close\n```\n\n| bar | leak |\n|-----|------|\n| 1.9 | yes |\n\n"
        "- [x] reproduced\n- [ ] fixed\n\n![the pump](data:image/png;base64,iVBORw0KGgo=)\n"
    ),
    confidential=True,
    history=(
        HistoryEvent(moment(8), "bob", "closed"),
        HistoryEvent(moment(1), "alice", "added label bug"),
        HistoryEvent(moment(2, 8), "bob", "removed label triage"),
        HistoryEvent(moment(2, 7), "bob", "added milestone Launch 3"),
        HistoryEvent(None, None, "added label severity::2"),
    ),
)
MERGE_REQUEST = EntityText(
    project_path="acme/rocket",
    key=EntityKey(EntityType.MERGE_REQUEST, 34),
    project_id=7,
    title="Draft: Replace the seal",
    state="merged",
    labels=("bug",),
    author="bob",
    assignees=("bob",),
    reviewers=("dave", "carol"),
    created_at=moment(3),
    updated_at=moment(8),
    merged_at=moment(8),
    source_branch="12-seal",
    target_branch="main",
    draft=True,
    web_url="https://gitlab.example.com/acme/rocket/-/merge_requests/34",
    references=("closes acme/rocket#12",),
    description="Closes #12.\n\n/assign @bob",
)
DISCUSSION = DiscussionText(
    entity=MERGE_REQUEST,
    discussion_id="6f1c2d",
    notes=(
        NoteText(
            author="carol",
            body="Why not *two* seals?\n\n> one is enough\n\nIt is not.",
            created_at=moment(4),
            updated_at=moment(4),
            note_id=901,
            position_path="src/pump.py",
            position_line=42,
            resolvable=True,
            resolved=True,
            resolved_by="bob",
        ),
        NoteText(author="bob", body="changed this line", created_at=moment(5), note_id=902, system=True),
        NoteText(author="bob", body="/close", created_at=moment(5), note_id=903),
        NoteText(
            author="bob",
            body="```suggestion\nseals = 2\n```",
            created_at=moment(5),
            updated_at=moment(6),
            note_id=904,
            internal=True,
            resolvable=True,
            resolved=True,
            resolved_by="bob",
        ),
        NoteText(author=None, body="Thanks!", note_id=905),
    ),
)


def rendered_discussion(discussion: DiscussionText = DISCUSSION) -> DocumentRecord:
    document = discussion_document(discussion)
    assert document is not None
    return document
