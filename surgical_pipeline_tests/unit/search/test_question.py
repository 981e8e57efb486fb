import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.search.question import (
    MAX_EXACT,
    MAX_TERMS,
    MEANING,
    WORDS,
    Question,
    Reference,
    Term,
    fuse,
)


def terms(text: str) -> list[str]:
    return [term.text for term in Question.of(text).terms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Valves, aborting: retried!", ["valv", "abort", "retr"]),
        ("the loss of a class", ["loss", "class"]),
        ("what is it", ["what", "is", "it"]),
        ("E_TIMEOUT_42", ["e_timeout_42", "timeout", "42"]),
        ("since v1.2.3.", ["since", "v1.2.3"]),
        ("frameCounter", ["framecounter", "frame", "counter"]),
        ("HTTPServer2", ["httpserver2", "http", "server"]),
        ("src/gateway/lanes.rs", ["src/gateway/lanes.rs", "lanes.rs", "src", "gateway", "lane", "rs"]),
        ("#12", ["#12"]),
        ("acme/rocket#12", ["acme/rocket#12"]),
        ("state=LOCK->SEARCH", ["state=lock->search", "state", "lock", "search"]),
        ("字节序", ["字节序", "字节", "节序"]),
        ("音声ループ fix", ["音声ループ", "音声", "声ル", "ルー", "ープ", "fix"]),
        ("valve VALVE valves", ["valve", "valv"]),
        ("()[]{}!? -- --", ["()[]{}!?", "--"]),
        ("🚀 valve -", ["valve"]),
        ("", []),
    ],
)
def test_a_question_is_taken_apart_into_words_and_identifiers(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_what_an_identifier_is_made_of_weighs_less_than_itself() -> None:
    weights = {term.text: term.weight for term in Question.of("E_TIMEOUT_42 timeout").terms}
    assert weights == {"e_timeout_42": 1, "timeout": 1, "42": 0.5}


def test_a_pasted_log_has_a_bounded_number_of_terms() -> None:
    assert len(terms(" ".join(f"word{number}x" for number in range(10_000)))) == MAX_TERMS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#12", [(None, "#12")]),
        ("see acme/rocket!34, and #7.", [("acme/rocket", "!34"), (None, "#7")]),
        ("#12 #12", [(None, "#12")]),
        ("a/b/c.d#1", [("a/b/c.d", "#1")]),
        ("x#1 #0 #abc #12abc ##3 &#39; #99999999999", []),
    ],
)
def test_references_are_read_as_people_write_them(text: str, expected: list[tuple[str | None, str]]) -> None:
    found = Question.of(text).references
    assert [(one.project_path, str(one.key)) for one in found] == expected


def test_a_reference_is_an_entity() -> None:
    assert Question.of("!3").references == (Reference(EntityKey(EntityType.MERGE_REQUEST, 3)),)


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("valves", "a Valve, revalve; valvesque valves", ["Valve", "valves"]),
        ("port", "port ports portable report", ["port", "ports"]),
        ("timeout", "E_TIMEOUT_42 timeout timeouts", ["TIMEOUT", "timeout", "timeouts"]),
        ("音声", "管制音声が", ["音声"]),
        ("#12", "(#12) #123 x#12", ["#12"]),
        ("a.b", "a.b axb", ["a.b"]),
        ("", "anything", []),
        ("100 %", "99% of 100", ["100"]),
        ("%", "99% of 10 %", ["%", "%"]),
        ("🚀", "lift-off🚀!", ["🚀"]),
    ],
)
def test_terms_are_found_in_a_text(question: str, text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end, _ in Question.of(question).find_in(text)] == expected


@given(st.text())
def test_any_text_makes_a_question_that_can_be_looked_for(text: str) -> None:
    question = Question.of(text)
    assert len(question.terms) <= MAX_TERMS
    for start, end, term in question.find_in(text):
        assert term in question.terms
        assert 0 <= start < end <= len(text)
    re.compile(question.sql_pattern.replace(r"\p{L}\p{N}", "a-z"))


def test_a_word_may_be_longer_than_its_term_by_its_ending() -> None:
    assert Term("abort", ending=3).is_word("aborted")
    assert not Term("abort", ending=3).is_word("abortions")
    assert not Term("abort").is_word("aborts")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("valve", []),
        ("late valves", []),
        ("valves are late", ["valves are late"]),
        ("Seq Scan  on events!", ["Seq Scan  on events"]),
        ('who said "go now"', ['who said "go now', "go now"]),
        ("the `misc` group", ["the `misc` group", "misc"]),
        ("don't or can't", ["don't or can't"]),
        ("「音声」の問題", ["音声"]),
        ("FV-2", ["FV-2"]),
        ("E_TIMEOUT_42 v1.2.3", ["E_TIMEOUT_42", "v1.2.3"]),
        ("lastSeq HTTPServer", ["lastSeq"]),
        ("src/nav/fusion.rs:41", ["src/nav/fusion.rs"]),
        ("component::console TCP/IP", ["component::console"]),
        ("reason=VALVE_LATE, foo(bar_baz)", ["VALVE_LATE", "bar_baz"]),
        ("red-green 200,000 15:30", ["red-green 200,000 15:30"]),
        ("#12 acme/rocket!34", []),
        ("x_y x_y", ["x_y"]),
        ("x" * 300 + "_y", []),
        ("", []),
    ],
)
def test_identifiers_and_quotations_are_to_be_found_as_they_are_written(text: str, expected: list[str]) -> None:
    assert list(Question.of(text).exact) == expected


def test_a_pasted_log_has_a_bounded_number_of_identifiers() -> None:
    assert len(Question.of(" ".join(f"E_{number}" for number in range(1000))).exact) == MAX_EXACT


def test_what_is_first_in_every_ranking_scores_1() -> None:
    weights = {WORDS: 2.0, MEANING: 1.0}
    both = fuse({WORDS: ["a", "b"], MEANING: ["a", "c"]}, weights)
    assert [(one.document_id, dict(one.ranks)) for one in both] == [
        ("a", {WORDS: 1, MEANING: 1}),
        ("b", {WORDS: 2}),
        ("c", {MEANING: 2}),
    ]
    assert both[0].score == pytest.approx(1)
    assert fuse({WORDS: [], MEANING: []}, weights) == []


def test_a_ranking_that_found_nothing_makes_the_others_less_certain() -> None:
    weights = {WORDS: 3.0, MEANING: 1.0}
    assert fuse({MEANING: ["c"]}, weights)[0].score == pytest.approx(1)
    assert fuse({WORDS: [], MEANING: ["c"]}, weights)[0].score == pytest.approx(0.25)


def test_equal_scores_are_in_the_order_of_their_ids() -> None:
    fused = fuse({WORDS: ["b"], MEANING: ["a"]}, {WORDS: 1.0, MEANING: 1.0})
    assert [one.document_id for one in fused] == ["a", "b"]
