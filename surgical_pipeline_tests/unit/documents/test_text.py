import os
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.documents.text import (
    DiscussionText,
    EntityText,
    HistoryEvent,
    NoteText,
    discussion_document,
    discussion_document_id,
    entity_document,
    entity_document_id,
    entity_of_document,
)
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType

T = TypeVar("T")
GOLDEN = Path(__file__).parent / "golden"


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


def printed(document: DocumentRecord) -> str:
    columns = """document_id kind key state labels author confidential internal web_url created_at updated_at
        discussion_id content_hash title"""
    head = "\n".join(f"{name}: {getattr(document, name)}" for name in columns.split())
    return f"{head}\n---\n{document.content}\n"


def rendered_discussion(discussion: DiscussionText = DISCUSSION) -> DocumentRecord:
    document = discussion_document(discussion)
    assert document is not None
    return document


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("issue", entity_document(ISSUE)),
        ("merge_request", entity_document(MERGE_REQUEST)),
        ("discussion", rendered_discussion()),
    ],
)
def test_a_document_reads_as_its_golden_file(name: str, document: DocumentRecord) -> None:
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("RENEW_GOLDEN"):
        golden.write_text(printed(document), encoding="utf-8")
    assert printed(document) == golden.read_text(encoding="utf-8")


@given(st.randoms(use_true_random=False))
def test_the_order_in_which_gitlab_lists_things_changes_nothing(shuffler: random.Random) -> None:
    def shuffled(values: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(shuffler.sample(values, len(values)))

    again = replace(
        ISSUE,
        labels=shuffled(ISSUE.labels),
        assignees=shuffled(ISSUE.assignees),
        references=shuffled(ISSUE.references),
        history=shuffled(ISSUE.history),
    )

    assert entity_document(again) == entity_document(ISSUE)


def test_a_later_visit_alone_changes_no_text() -> None:
    visited = replace(ISSUE, updated_at=moment(30), web_url="https://gitlab.example.com/moved")

    assert entity_document(visited).content_hash == entity_document(ISSUE).content_hash
    assert entity_document(visited).updated_at == moment(30)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another"},
        {"state": "opened"},
        {"labels": ("bug",)},
        {"milestone": None},
        {"author": "zoe"},
        {"assignees": ()},
        {"created_at": moment(2)},
        {"closed_at": None},
        {"due_date": None},
        {"references": ()},
        {"description": "Another"},
        {"confidential": False},
        {"moved_to": "acme/booster#3"},
        {"history": ()},
        {"project_path": "acme/renamed"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_means_something_changes_the_hash(change: dict[str, object]) -> None:
    changed = replace(ISSUE, **change)  # type: ignore[arg-type]  # the fields are those above

    assert entity_document(changed).content_hash != entity_document(ISSUE).content_hash


@pytest.mark.parametrize(
    "change",
    [
        {"draft": False},
        {"source_branch": "other"},
        {"target_branch": "stable"},
        {"reviewers": ()},
        {"merged_at": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_means_something_of_a_merge_request_changes_the_hash(change: dict[str, object]) -> None:
    changed = replace(MERGE_REQUEST, **change)  # type: ignore[arg-type]  # the fields are those above

    assert entity_document(changed).content_hash != entity_document(MERGE_REQUEST).content_hash


def test_dates_are_told_in_utc_whatever_the_offset() -> None:
    late = datetime(2024, 3, 1, 23, 0, tzinfo=timezone(timedelta(hours=-5)))

    assert "Created: 2024-03-02" in entity_document(replace(ISSUE, created_at=late)).content


def test_a_date_without_zone_is_taken_as_utc() -> None:
    naive = moment(1).replace(tzinfo=None)

    assert entity_document(replace(ISSUE, created_at=naive)).content == entity_document(ISSUE).content


def test_an_entity_with_nothing_but_its_key_has_a_document() -> None:
    bare = EntityText("acme/rocket", EntityKey(EntityType.ISSUE, 1), 7, title="", state="opened")

    document = entity_document(bare)

    assert (document.title, document.content) == ("acme/rocket#1", "Issue acme/rocket#1\nState: opened")


def test_a_title_of_several_lines_is_told_on_one() -> None:
    titled = replace(ISSUE, title="Pump\r\nleaks\u2028 badly")
    notes = (NoteText("bob", "hi"),)

    assert entity_document(titled).title == "Pump leaks badly"
    assert rendered_discussion(DiscussionText(titled, "1a", notes)).title == "Discussion of #12: Pump leaks badly"


def test_a_discussion_of_an_entity_without_title_is_titled_by_its_reference() -> None:
    untitled = replace(ISSUE, title=" ")

    assert (
        rendered_discussion(DiscussionText(untitled, "1a", (NoteText("bob", "hi"),))).title == "Discussion of #12"
    )


def test_text_that_no_database_takes_is_mended() -> None:
    document = entity_document(replace(ISSUE, title="a\x00b\ud800", description="\x00\ud800", milestone="\udfff"))

    (document.title + document.content).encode()
    assert "\x00" not in document.title + document.content


@pytest.mark.parametrize(
    "notes",
    [
        (),
        (NoteText("bob", "changed the milestone", system=True),),
        (NoteText("bob", ""), NoteText("bob", " \n")),
        (
            NoteText("bob", "/close"),
            NoteText("bob", "<!-- nothing -->"),
            NoteText("bob", "added label", system=True),
        ),
    ],
    ids=["empty", "system", "blank", "machines"],
)
def test_a_discussion_that_no_person_took_part_in_has_no_document(notes: tuple[NoteText, ...]) -> None:
    assert discussion_document(DiscussionText(ISSUE, "1a", notes)) is None


def test_a_discussion_is_confidential_with_its_entity() -> None:
    document = rendered_discussion(DiscussionText(ISSUE, "1a", (NoteText("bob", "hi"),)))

    assert (document.confidential, document.internal) == (True, False)
    assert document.document_id == "discussion:7:issue:12:1a"


def test_a_discussion_with_an_internal_note_is_internal() -> None:
    notes = (NoteText("bob", "hi"), NoteText("bob", "psst", internal=True))
    open_issue = replace(ISSUE, confidential=False)

    assert rendered_discussion(DiscussionText(open_issue, "1a", notes)).internal


def test_turning_confidential_regenerates_the_discussions_too() -> None:
    notes = (NoteText("bob", "hi"),)

    before = rendered_discussion(DiscussionText(replace(ISSUE, confidential=False), "1a", notes))

    assert rendered_discussion(DiscussionText(ISSUE, "1a", notes)).content_hash != before.content_hash


def test_a_label_of_the_entity_does_not_regenerate_its_discussions() -> None:
    labelled = replace(MERGE_REQUEST, labels=("bug", "urgent"), state="closed", updated_at=moment(20))

    assert rendered_discussion(replace(DISCUSSION, entity=labelled)) == rendered_discussion()


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ([(False, False)], ""),
        ([(True, False)], "unresolved"),
        ([(True, True)], "resolved"),
        ([(True, True), (True, False)], "unresolved"),
        ([(False, False), (True, True)], "resolved"),
    ],
)
def test_a_discussion_is_resolved_when_all_that_can_be_is(flags: list[tuple[bool, bool]], state: str) -> None:
    notes = tuple(NoteText("bob", "hi", resolvable=able, resolved=done) for able, done in flags)

    assert rendered_discussion(DiscussionText(ISSUE, "1a", notes)).state == state


def test_a_discussion_is_as_new_as_the_newest_note_of_a_person() -> None:
    document = rendered_discussion()

    assert document.created_at == moment(4)
    assert document.updated_at == moment(6)


@pytest.mark.parametrize("key", [EntityKey(EntityType.ISSUE, 12), EntityKey(EntityType.MERGE_REQUEST, 34)])
def test_a_documents_id_tells_its_entity(key: EntityKey) -> None:
    assert entity_of_document(entity_document_id(7, key)) == key
    assert entity_of_document(discussion_document_id(7, key, discussion_id="a1:b2")) == key
