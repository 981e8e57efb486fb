from dataclasses import replace

import pytest

from surgical_pipeline.documents.text import DiscussionText, EntityText, NoteText, discussion_document
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline_tests.unit.documents.examples import (
    DISCUSSION,
    ISSUE,
    MERGE_REQUEST,
    moment,
    rendered_discussion,
)


def discussion_of(entity: EntityText, *notes: NoteText) -> DocumentRecord:
    """The document of a discussion with these notes; without any, of one that says hi."""
    return rendered_discussion(DiscussionText(entity, "1a", notes or (NoteText("bob", "hi"),)))


def test_a_discussion_of_an_entity_without_title_is_titled_by_its_reference() -> None:
    untitled = replace(ISSUE, title=" ")

    assert discussion_of(untitled).title == "Discussion of #12"


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
    document = discussion_of(ISSUE)

    assert (document.confidential, document.internal) == (True, False)
    assert document.document_id == "discussion:7:issue:12:1a"


def test_a_discussion_with_an_internal_note_is_internal() -> None:
    notes = (NoteText("bob", "hi"), NoteText("bob", "psst", internal=True))
    open_issue = replace(ISSUE, confidential=False)

    assert discussion_of(open_issue, *notes).internal


def test_turning_confidential_regenerates_the_discussions_too() -> None:
    before = discussion_of(replace(ISSUE, confidential=False))

    assert discussion_of(ISSUE).content_hash != before.content_hash


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

    assert discussion_of(ISSUE, *notes).state == state


def test_a_discussion_is_as_new_as_the_newest_note_of_a_person() -> None:
    document = rendered_discussion()

    assert document.created_at == moment(4)
    assert document.updated_at == moment(6)
