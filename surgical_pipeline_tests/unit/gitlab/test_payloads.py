from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from surgical_pipeline.gitlab.payloads import (
    Approvals,
    AwardEmoji,
    Commit,
    Diff,
    Discussion,
    Issue,
    IssueLink,
    Label,
    LabelEvent,
    MergeRequest,
    Milestone,
    MilestoneEvent,
    Note,
    Payload,
    Project,
    StateEvent,
    User,
    Version,
)
from surgical_pipeline_tests.unit.gitlab.corpus import payloads


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("issue", Issue),
        ("merge_request", MergeRequest),
        ("merge_request_simple", MergeRequest),
        ("project", Project),
        ("milestone", Milestone),
        ("label", Label),
        ("discussion", Discussion),
        ("note", Note),
        ("resource_label_event", LabelEvent),
        ("resource_state_event", StateEvent),
        ("issue_link", IssueLink),
        ("merge_request_commit", Commit),
        ("merge_request_diff", Diff),
        ("approvals", Approvals),
        ("award_emoji", AwardEmoji),
        ("version", Version),
    ],
)
def test_every_answer_of_real_servers_is_understood(
    gitlab_payloads: Path, kind: str, model: type[Payload]
) -> None:
    for payload in payloads(gitlab_payloads, kind):
        parsed = model.model_validate(payload)
        for name in type(parsed).model_fields:
            if payload.get(name) is not None and isinstance(payload[name], str | int):
                assert getattr(parsed, name) is not None


def test_labels_are_names_or_objects() -> None:
    plain = Issue.model_validate({"id": 1, "labels": ["bug", "ui"]})
    detailed = Issue.model_validate({"id": 1, "labels": [{"name": "bug", "color": "#f00"}, {"name": "ui"}]})
    assert plain.label_names == detailed.label_names == ("bug", "ui")
    assert detailed.labels[0].color == "#f00"


def test_what_is_null_or_missing_reads_as_empty() -> None:
    fields = ("labels", "assignees", "milestone", "author", "description", "confidential", "discussion_locked")
    for issue in (Issue.model_validate({"id": 1} | dict.fromkeys(fields)), Issue.model_validate({"id": 1})):
        assert (issue.labels, issue.assigned, issue.milestone_title) == ((), (), None)
        assert (issue.confidential, issue.discussion_locked) == (False, False)
    merge_request = MergeRequest.model_validate({"id": 1, "draft": None, "reviewers": None, "merged_by": None})
    assert (merge_request.is_draft, merge_request.reviewers) == (False, ())


def test_an_older_draft_and_a_single_assignee_are_read_too() -> None:
    merge_request = MergeRequest.model_validate(
        {"id": 1, "work_in_progress": True, "assignee": {"id": 2, "username": "ada"}}
    )
    assert merge_request.is_draft
    assert [user.handle for user in merge_request.assigned] == ["ada"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05.678Z", datetime(2024, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)),
        ("2024-01-02T03:04:05+02:00", datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02 03:04:05 UTC", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_are_utc_whatever_their_offset(text: str, expected: datetime) -> None:
    parsed = Note.model_validate({"id": 1, "created_at": text}).created_at
    assert parsed == expected
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "wrong", [5, True, 1.5, "", "now", "2024-13-01T00:00:00Z", "0001-01-01T00:00:00+23:00", [], {}]
)
def test_what_is_no_time_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="ISO 8601"):
        Note.model_validate({"id": 1, "created_at": wrong})


def test_a_due_date_is_a_day_even_where_a_time_was_sent() -> None:
    for text in ("2024-05-06", "2024-05-06T00:00:00.000Z"):
        assert Issue.model_validate({"id": 1, "due_date": text}).due_date == date(2024, 5, 6)
    with pytest.raises(ValidationError, match="due_date"):
        Issue.model_validate({"id": 1, "due_date": "soon"})


@pytest.mark.parametrize("wrong", [True, 0, -1, 1.0, "1", 2**63, None, [1]])
def test_an_id_is_a_positive_integer_and_nothing_like_it(wrong: object) -> None:
    with pytest.raises(ValidationError, match="id"):
        Note.model_validate({"id": wrong})


def test_a_note_hidden_from_guests_is_internal_or_on_older_servers_confidential() -> None:
    assert Note.model_validate({"id": 1, "internal": True}).hidden_from_guests
    assert Note.model_validate({"id": 1, "confidential": True}).hidden_from_guests
    assert not Note.model_validate({"id": 1, "internal": None}).hidden_from_guests


def test_a_note_on_a_diff_tells_where_it_stands() -> None:
    position = {"new_path": "a.py", "old_path": "b.py", "new_line": 3, "old_line": None, "line_range": {}}
    note = Note.model_validate({"id": 1, "position": position, "resolved_by": "ada"})
    assert note.position is not None
    assert (note.position.new_path, note.position.new_line, note.position.old_line) == ("a.py", 3, None)
    assert note.resolved_by == User(username="ada")


def test_events_survive_what_they_were_about() -> None:
    assert LabelEvent.model_validate({"id": 1, "label": None, "action": "remove"}).label is None
    event = MilestoneEvent.model_validate({"id": 1, "milestone": {"id": 2, "title": "1.0"}, "user": None})
    assert event.milestone is not None
    assert event.milestone.title == "1.0"


def test_payloads_cannot_be_changed() -> None:
    note = Note.model_validate({"id": 1})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(note, "id", 2)  # noqa: B010  a plain assignment is refused by the type checker already
