from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.search import Filters, QuestionVector, SearchHit, count_searchable, search
from surgical_pipeline.search.question import Question
from surgical_pipeline_tests.integration.ledger.examples import MODEL, at, document, issue, merge_request, run_sql
from surgical_pipeline_tests.integration.ledger.search_examples import embed, fill, said, save

NOTHING = Question.of("")
"""Has no terms: what is found is found by meaning."""


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    return fill(ledger)


def found(tx: Transaction, text: str, **filters: object) -> list[str]:
    """The ids of what is found by words and reference."""
    hits = search(tx, Question.of(text), vector=None, filters=Filters(**filters), limit=9)  # type: ignore[arg-type]
    return [hit.document_id for hit in hits]


def near(tx: Transaction, values: Sequence[float], *, limit: int = 9, model: str = MODEL) -> list[SearchHit]:
    vector = QuestionVector(model, np.array(values, dtype=np.float32))
    return search(tx, NOTHING, vector=vector, filters=Filters(include_confidential=True), limit=limit)


def test_rare_words_count_more_than_common_ones_and_endings_little(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(
            tx,
            document("a", issue(1), content="the valves open late"),
            said("b", issue(1), "a valve and a telemetry gateway, and a long text about something else entirely"),
            document("c", issue(2), content="the valve was aborted"),
            document("d", merge_request(1), content="nothing of that kind: evalvex"),
        )
        assert found(tx, "valve gateway") == ["b", "a", "c"]
        assert found(tx, "aborting") == ["c"]
        assert found(tx, "VALVES opened") == ["a", "c", "b"]
        assert found(tx, "unheard of") == []


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("E_TIMEOUT_42", "failed with E_TIMEOUT_42."),
        ("timeout", "failed with E_TIMEOUT_42"),
        ("v1.2.3", "since v1.2.3, at least"),
        ("src/gateway/lanes.rs", "On: src/gateway/lanes.rs, line 41"),
        ("lanes.rs", "On: src/gateway/lanes.rs, line 41"),
        ("lastSeq", "`this.lastSeq` is reset"),
        ("Größe", "die größe stimmt"),
        ("音声", "地上局を切り替えると、管制音声が途切れます"),
        ("字节序", "(字节序)"),
        ("what? (alpha+b)*[c", "c: alpha"),
        ("it's \\ 100%", "it's so"),
        ("see #99", "as in #99"),
    ],
)
def test_words_and_identifiers_are_found_as_they_are_written(filled: Ledger, text: str, content: str) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1), content=content), document("b", issue(2), content="another text: lan"))
        assert found(tx, text) == ["a"]


EXACT_TEXTS = [
    ("ERR_LOST retry", "retry ERR_LOST", "retry, retry: err, lost"),
    ("took 9120ms in frameLoop", "frameLoop took 11ms", "took frame loop took in took"),
    (
        "no space left on device",
        "No space\nleft on device.",
        "device: space left, no space on the left",
    ),
    ('the "dead band" is small', "small (dead band)", "the band is dead, small and small"),
    ("FV-2", "valve FV-2:", "FV-21 FV-2a 2 2 FV FV-2FV"),
    ("a.rs", "(a.rs)", "aXrs a rs a rs"),
    ("「字节序」", "在字节序中", "字节 节序 字节 节序"),
]


@pytest.mark.parametrize(("text", "exact", "similar"), EXACT_TEXTS, ids=[text for text, _, _ in EXACT_TEXTS])
def test_what_holds_an_identifier_or_quotation_as_written_is_before_what_is_only_nearer_in_meaning(
    filled: Ledger, text: str, exact: str, similar: str
) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1), content=similar), document("c", issue(2), content=exact))
        embed(tx, "a", (1, 0), text=similar)
        embed(tx, "c", (-1, 0), text=exact)
        hits = search(tx, Question.of(text), vector=QuestionVector(MODEL, (1, 0)), filters=Filters(), limit=9)
    assert hits[0].document_id == "c"
    assert hits[0].found_by["exact"] == 1
    assert "exact" not in hits[1].found_by


def test_of_two_identifiers_both_must_be_there_where_they_can_be(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(
            tx,
            document("a", issue(1), content="E_1 " * 9),
            document("c", issue(2), content="from E_1 to E_2, later"),
        )
        hits = search(tx, Question.of("E_1 E_2 E_3"), vector=None, filters=Filters(), limit=9)
    assert {hit.document_id: hit.found_by.get("exact") for hit in hits} == {"c": 1, "a": None}


def test_what_a_question_names_comes_first(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(
            tx,
            document("a", issue(1), content="text"),
            said("b", issue(1), "a remark on #2"),
            document("c", issue(2), content="another"),
            document("d", merge_request(1), content="see #2 and #2 again"),
        )
        assert found(tx, "#2")[0] == "c"
        assert set(found(tx, "#2")) == {"b", "c", "d"}
        assert found(tx, "acme/rocket!1") == ["d"]
        assert found(tx, "other/project!1") == []
        assert found(tx, "!1 and #1")[:2] == ["d", "a"]
        hits = search(tx, Question.of("#2"), vector=None, filters=Filters(), limit=1)
        assert (hits[0].score, hits[0].found_by) == (1.0, {"reference": 1})


def test_a_document_counts_once_by_its_best_chunk(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1)), said("b", issue(1), "text"), document("c", issue(2)))
        embed(tx, "a", (0, 1), (0.6, 0.8), (0, 1), text="text")
        embed(tx, "b", (1, 0.1), text="text")
        embed(tx, "c", (-1, 0), text="text")
    with filled.read() as tx:
        hits = near(tx, (2, 0))
        assert len(near(tx, (1, 0), limit=2)) == 2
    assert [(hit.document_id, hit.chunk_index, hit.entity) for hit in hits] == [
        ("b", 0, "acme/rocket#1"),
        ("a", 1, "acme/rocket#1"),
        ("c", 0, "acme/rocket#2"),
    ]
    assert [hit.cosine for hit in hits] == pytest.approx([0.995, 0.6, -1], abs=1e-3)
    assert [hit.found_by for hit in hits] == [{"meaning": 1}, {"meaning": 2}, {"meaning": 3}]


def test_vectors_of_another_model_or_length_are_not_compared(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1)), document("c", issue(2)))
        embed(tx, "a", (1, 0), text="text")
        embed(tx, "c", (1, 0, 0), text="text", model="other")
        assert [hit.document_id for hit in near(tx, (1, 0))] == ["a"]
        assert [hit.document_id for hit in near(tx, (1, 0, 0), model="other")] == ["c"]
        assert near(tx, (1, 0), model="other") == near(tx, (1, 0), model="unknown") == []


def test_vectors_of_zeros_are_never_found_and_find_nothing(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1)), document("c", issue(2)))
        embed(tx, "a", (0, 0), text="text")
        embed(tx, "c", (0, 0), (1, 0), text="text")
        assert [hit.document_id for hit in near(tx, (1, 0))] == ["c"]
        assert near(tx, (0, 0)) == []


def test_vectors_of_an_older_text_are_told_and_name_no_chunk(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1)))
        embed(tx, "a", (1, 0), text="text")
        assert [(hit.current, hit.chunk_index) for hit in near(tx, (1, 0))] == [(True, 0)]
        save(tx, document("a", issue(1), content="new"))
        assert [(hit.current, hit.chunk_index) for hit in near(tx, (1, 0))] == [(False, None)]


def test_both_rankings_together_make_the_order(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(
            tx,
            document("a", issue(1), content="valve"),
            document("c", issue(2), content="valve"),
            document("d", merge_request(1), content="something else"),
        )
        embed(tx, "d", (1, 0), text="something else")
        embed(tx, "c", (0.9, 0.1), text="valve")
        embed(tx, "a", (-1, 0), text="valve")
        vector = QuestionVector(MODEL, (1, 0))
        hits = search(tx, Question.of("valve"), vector=vector, filters=Filters(), limit=9)
    assert [(hit.document_id, hit.found_by) for hit in hits] == [
        ("a", {"words": 1, "meaning": 3}),
        ("c", {"words": 2, "meaning": 2}),
        ("d", {"meaning": 1}),
    ]
    assert 1 > hits[0].score > hits[1].score > hits[2].score > 0


FILTERS: list[tuple[dict[str, object], set[str]]] = [
    ({}, {"a", "b", "c", "d"}),
    ({"project_path": "acme/rocket"}, {"a", "b", "c", "d"}),
    ({"project_path": "acme"}, set()),
    ({"kind": "discussion"}, {"b"}),
    ({"kind": "merge_request"}, {"d"}),
    ({"state": "opened"}, {"c", "d"}),
    ({"state": "closed"}, {"a", "b"}),
    ({"state": "unresolved"}, {"b"}),
    ({"labels": ("bug",)}, {"a", "b", "c"}),
    ({"labels": ("bug", "crash")}, {"a", "b"}),
    ({"labels": ("bug",), "state": "opened"}, {"c"}),
    ({"since": at(60)}, {"c"}),
    ({"include_confidential": True}, {"a", "b", "c", "d", "e", "f"}),
]


@pytest.mark.parametrize(("filters", "ids"), FILTERS, ids=[str(one) for one, _ in FILTERS])
def test_filters_apply_to_every_ranking(filled: Ledger, filters: dict[str, object], ids: set[str]) -> None:
    with filled.write("x") as tx:
        save(
            tx,
            replace(document("a", issue(1)), state="closed", labels=("bug", "crash")),
            said("b", issue(1), "text"),
            said("e", issue(1), "text", internal=True),
            replace(document("c", issue(2)), labels=("bug",), updated_at=at(3600)),
            said("f", issue(2), "text", confidential=True),
            replace(document("d", merge_request(1)), labels=()),
            said("gone", merge_request(1), "text"),
        )
        for one in ("a", "b", "c", "d", "e", "f", "gone"):
            embed(tx, one, (1, 0), text="text")
        run_sql(tx, "UPDATE documents SET deleted_at = now() WHERE document_id = 'gone'")
        wanted = Filters(**filters)  # type: ignore[arg-type]
        by_words = search(tx, Question.of("text"), vector=None, filters=wanted, limit=9)
        by_meaning = search(tx, NOTHING, vector=QuestionVector(MODEL, (1, 0)), filters=wanted, limit=9)
        by_name = search(tx, Question.of("#1 #2 !1"), vector=None, filters=wanted, limit=9)
    assert {hit.document_id for hit in by_words} == {hit.document_id for hit in by_meaning} == ids
    assert {hit.document_id for hit in by_name} == ids & {"a", "c", "d"}


def test_a_filter_leaves_room_for_what_it_lets_pass(filled: Ledger) -> None:
    """Filtering what was ranked already would find nothing here: the best fifty are all of another kind."""
    many = [said(f"d{number:03}", issue(1), f"text {number}") for number in range(60)]
    with filled.write("x") as tx:
        save(tx, *many, document("z", merge_request(1), content="a text with many other words in it"))
        assert found(tx, "text", kind="merge_request") == ["z"]


def test_searchable_documents_are_counted(filled: Ledger) -> None:
    with filled.write("x") as tx:
        assert count_searchable(tx, MODEL) == (0, 0)
        save(tx, document("a", issue(1)), document("c", issue(2)))
        embed(tx, "a", (1, 0), (0, 1), text="text")
        assert count_searchable(tx, MODEL) == (2, 1)
        assert count_searchable(tx, "other") == (2, 0)
