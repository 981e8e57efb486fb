"""Documents as the stages make them of the sandbox's sample.

To renew them after a wanted change of the text: `RENEW_GOLDEN=1 python -m pytest` on this file, then read its diff
in git.
"""

import json
import os
from pathlib import Path

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.documents import EntitySource, StoredDiscussion
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.stages.shared.rendering import documents_of
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.integration.stages.stage_run import StageRun, issue, merge_request
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.unit.gitlab.corpus import payloads as real_payloads

GOLDEN = Path(__file__).parent / "golden"
NOTHING: dict[str, object] = {
    "discussions": (),
    "label_events": (),
    "state_events": (),
    "milestone_events": (),
    "links": (),
    "closed_by": (),
    "closes_issues": (),
}
COLUMNS = "kind, state, labels, author, confidential, internal, title, content"


def rendered(run: StageRun, sandbox: RunningSandbox) -> None:
    """Every dependent and the documents, embedded so that an unchanged text stays."""
    sources = run.dependents(run.up_to_ingest(), wanted=tuple(Dependent))
    sandbox.control.clear_requests()
    run.embed(run.docs(sources).documents, embedder=FakeEmbedder())


def documents(ledger: DuckDBLedger, where: str) -> str:
    """The documents as a page to read: the columns of each, then its text."""
    names = COLUMNS.split(", ")
    rows = query(ledger.path, f"SELECT document_id, {COLUMNS} FROM documents WHERE {where} ORDER BY document_id")
    assert rows
    return "".join(
        f"=== {document_id}\n"
        + "".join(f"{name}: {value}\n" for name, value in zip(names[:-1], values[:-1], strict=True))
        + f"---\n{values[-1]}\n"
        for document_id, *values in rows
    )


@pytest.mark.parametrize(
    ("name", "scope", "where"),
    [
        ("issue.md", "acme/rocket#12+14+46", "kind = 'issue'"),
        ("merge_request.md", "acme/rocket!34+35", "kind = 'merge_request'"),
        ("discussion.md", "acme/rocket#12!34", "kind = 'discussion'"),
    ],
)
def test_documents_of_the_sample_read_as_their_golden_file(
    start: Start, ledger: DuckDBLedger, sandbox: RunningSandbox, name: str, scope: str, where: str
) -> None:
    rendered(start(scope), sandbox)
    found = documents(ledger, where).replace(sandbox.url, "https://gitlab.test")
    if os.environ.get("RENEW_GOLDEN"):
        (GOLDEN / name).write_text(found, encoding="utf-8")
    assert found == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_same_sources_give_the_same_bytes_again(start: Start, rows: Rows, sandbox: RunningSandbox) -> None:
    every = "SELECT document_id, title, content, content_hash FROM documents ORDER BY 1"
    rendered(start("acme/rocket#12+51!34"), sandbox)
    before = rows(every)
    rendered(start("acme/rocket#12+51!34"), sandbox)
    assert rows(every) == before
    assert rows("SELECT DISTINCT run_id FROM documents") == [("run-1",)]


def test_links_fetched_later_regenerate_the_document_of_their_entity_alone(start: Start, rows: Rows) -> None:
    start("acme/rocket#12+13").up_to_embed()
    linked = start("acme/rocket#12+13")
    sources = linked.dependents(linked.up_to_ingest(), wanted=[Dependent.LINKS, Dependent.CLOSED_BY])
    changed = linked.docs(sources).regenerated_document_ids
    told = "SELECT document_id FROM documents WHERE kind = 'issue' AND content LIKE '%References: %' ORDER BY 1"
    assert rows(told) == [(one,) for one in sorted(changed)]
    assert changed


def source(key: EntityKey, **parts: object) -> EntitySource:
    values: dict[str, object] = {
        "key": key,
        "project_id": 7,
        "project_path": "acme/rocket",
        "payload": json.dumps({"id": 1, "iid": key.iid, "title": "Pump", "state": "opened"}),
        "deleted": False,
        "version": "any",
        "existing": {},
    }
    return EntitySource(**{**NOTHING, **values, **parts})  # type: ignore[arg-type]  # the fields are those above


def references_of(entity: EntitySource) -> str:
    first: DocumentRecord = next(iter(documents_of(entity)))
    (line,) = [line for line in first.content.split("\n") if line.startswith("References: ")]
    return line.removeprefix("References: ")


def payloads(*items: dict[str, object]) -> tuple[str, ...]:
    return tuple(json.dumps({"id": 5, **item}) for item in items)


def test_references_are_told_as_people_write_them() -> None:
    links = payloads(
        {"link_type": "relates_to", "references": {"full": "acme/rocket#9"}},
        {"link_type": "blocks", "references": {"full": "acme/rocket-2#3"}},
        {"link_type": "is_blocked_by", "iid": 4, "project_id": 7},
        {"link_type": "a type of tomorrow", "iid": 6},
        {"link_type": "relates_to", "iid": 8, "project_id": 99, "web_url": "https://gitlab.test/x/-/issues/8"},
    )
    closed_by = payloads({"references": {"full": "acme/rocket!34"}}, {"iid": 35, "project_id": 7})
    assert references_of(source(issue(1), links=links, closed_by=closed_by)) == (
        "blocked by #4, blocks acme/rocket-2#3, closed by !34, closed by !35, related to #6, related to #9, "
        "related to https://gitlab.test/x/-/issues/8"
    )


def test_an_issue_of_a_tracker_outside_gitlab_is_told_by_its_own_id() -> None:
    closes = payloads({"id": "PUMP-7", "title": "External"}, {"references": {"full": "acme/rocket#12"}})
    assert references_of(source(merge_request(1), closes_issues=closes)) == "closes #12, closes PUMP-7"


def test_a_title_or_state_at_the_other_end_changes_no_text() -> None:
    link = {"link_type": "blocks", "references": {"full": "acme/rocket#9"}}
    before, after = (
        next(iter(documents_of(source(issue(1), links=payloads({**link, "title": title, "state": state})))))
        for title, state in (("Old", "opened"), ("New", "closed"))
    )
    assert before == after


def test_system_notes_are_left_out_of_a_discussion() -> None:
    notes = (
        json.dumps({"id": 1, "body": "assigned to @bob", "system": True}),
        json.dumps({"id": 2, "body": "Looks good", "author": {"username": "eve"}}),
    )
    entity = source(
        issue(1), discussions=(StoredDiscussion("d", "{}", notes), StoredDiscussion("e", "{}", notes[:1]))
    )
    _, discussion = documents_of(entity)
    assert discussion.content.endswith("@eve:\nLooks good")
    assert "assigned" not in discussion.content


@pytest.mark.parametrize(
    ("position", "told"),
    [
        ({"position_type": "text", "old_path": "a.py", "new_path": "b.py", "new_line": 7}, "On: b.py, line 7"),
        (
            {"position_type": "text", "old_path": "a.py", "new_path": "b.py", "old_line": 5, "new_line": 7},
            "On: b.py, line 7",
        ),
        (
            {"position_type": "text", "old_path": "a.py", "new_path": "b.py", "old_line": 5, "new_line": None},
            "On: a.py, line 5 before the change",
        ),
        (
            {"new_path": "b.py", "new_line": 9, "line_range": {"start": {"new_line": 7}, "end": {"new_line": 9}}},
            "On: b.py, lines 7 to 9",
        ),
        (
            {"old_path": "a.py", "old_line": 9, "line_range": {"start": {"old_line": 7}, "end": {"old_line": 9}}},
            "On: a.py, lines 7 to 9 before the change",
        ),
        (  # from a removed line to an added one: their numbers are of two files
            {"new_path": "b.py", "new_line": 9, "line_range": {"start": {"old_line": 7, "new_line": None}}},
            "On: b.py, line 9",
        ),
        ({"new_path": "b.py", "new_line": 9, "line_range": {"start": {"new_line": 9}}}, "On: b.py, line 9"),
        ({"new_path": "b.py", "new_line": 9, "line_range": {"start": {"line_code": "x"}}}, "On: b.py, line 9"),
        ({"new_path": "b.py", "new_line": 9, "line_range": {"start": {"new_line": "no"}}}, "On: b.py, line 9"),
        ({"new_path": "b.py", "new_line": 9, "line_range": ["no", "object"]}, "On: b.py, line 9"),
        ({"position_type": "image", "old_path": "a.png", "new_path": "b.png", "x": 3, "y": 4}, "On: b.png"),
        ({"position_type": "file", "old_path": "a.py", "new_path": None}, "On: a.py"),
        ({}, None),
        (None, None),
    ],
)
def test_a_review_thread_tells_where_in_the_diff_it_stands(
    position: dict[str, object] | None, told: str | None
) -> None:
    note = json.dumps({"id": 1, "body": "Why?", "author": None, "type": "DiffNote", "position": position})
    _, discussion = documents_of(source(merge_request(1), discussions=(StoredDiscussion("d", "{}", (note,)),)))
    place = f"{told}\n" if told else ""
    assert discussion.content == f"Discussion of acme/rocket!1\n{place}\nSomebody:\nWhy?"


def test_a_thread_of_150_notes_tells_all_of_them_in_order() -> None:
    notes = tuple(
        json.dumps(
            {"id": number, "body": f"note {number}", "author": {"username": "eve"}, "system": number % 3 == 0}
        )
        for number in range(1, 151)
    )
    _, discussion = documents_of(source(issue(1), discussions=(StoredDiscussion("d", "{}", notes),)))
    told = [line for line in discussion.content.split("\n") if line.startswith("note ")]
    assert told == [f"note {number}" for number in range(1, 151) if number % 3]


def test_every_real_payload_makes_documents(gitlab_payloads: Path) -> None:
    """Whatever real servers sent, all of it on one entity: text that is the same each time, without a NUL."""

    def lines(name: str) -> tuple[str, ...]:
        return tuple(map(json.dumps, real_payloads(gitlab_payloads, name)))

    notes = StoredDiscussion("notes", "{}", lines("note"))
    threads = tuple(
        StoredDiscussion(f"{place}", "{}", tuple(map(json.dumps, thread["notes"])))  # type: ignore[call-overload]
        for place, thread in enumerate(real_payloads(gitlab_payloads, "discussion"))
    )
    parts = {
        "discussions": (notes, *threads),
        "label_events": lines("resource_label_event"),
        "state_events": lines("resource_state_event"),
        "links": lines("issue_link"),
        "closed_by": lines("merge_request"),
        "closes_issues": lines("issue"),
    }
    for key, name in ((issue(1), "issue"), (merge_request(1), "merge_request")):
        for payload in lines(name):
            entity = source(key, payload=payload, **parts)
            documents = list(documents_of(entity))
            assert documents == list(documents_of(entity))
            assert len(documents) > len(threads) / 2
            for document in documents:
                assert document.content.encode()
                assert "\x00" not in document.content
                assert "None" not in document.content.split("\n\n")[0]
