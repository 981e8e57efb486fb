import os
import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.documents.text import (
    DiscussionText,
    EntityText,
    NoteText,
    discussion_document_id,
    entity_document,
    entity_document_id,
    entity_of_document,
)
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline_tests.unit.documents.examples import ISSUE, MERGE_REQUEST, moment, rendered_discussion

T = TypeVar("T")
GOLDEN = Path(__file__).parent / "golden"


def printed(document: DocumentRecord) -> str:
    columns = """document_id kind key state labels author confidential internal web_url created_at updated_at
        discussion_id content_hash title"""
    head = "\n".join(f"{name}: {getattr(document, name)}" for name in columns.split())
    return f"{head}\n---\n{document.content}\n"


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


def test_text_that_no_database_takes_is_mended() -> None:
    document = entity_document(replace(ISSUE, title="a\x00b\ud800", description="\x00\ud800", milestone="\udfff"))

    (document.title + document.content).encode()
    assert "\x00" not in document.title + document.content


@pytest.mark.parametrize("key", [EntityKey(EntityType.ISSUE, 12), EntityKey(EntityType.MERGE_REQUEST, 34)])
def test_a_documents_id_tells_its_entity(key: EntityKey) -> None:
    assert entity_of_document(entity_document_id(7, key)) == key
    assert entity_of_document(discussion_document_id(7, key, discussion_id="a1:b2")) == key
