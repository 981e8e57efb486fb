from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.search.question import Question
from surgical_pipeline.search.snippets import WIDTH, Snippet, has_terms, snippet

FACTS = "Issue acme/rocket#12\nState: opened\nLabels: valve"


def marked(found: Snippet) -> list[str]:
    return [found.text[start:end] for start, end in found.highlights]


def test_the_sentence_with_most_of_the_words_is_shown_with_the_words_marked() -> None:
    filler = "Nothing to see in this sentence, which is about another matter. " * 10
    content = f"{FACTS}\n\nThe valve is new. {filler}Then the fuel valve opened late. {filler}"
    found = snippet(Question.of("late fuel valves"), content)
    assert found.text.startswith("… Then the fuel valve opened late.")
    assert found.text.endswith(" …")
    assert len(found.text) <= WIDTH + 4
    assert marked(found) == ["fuel", "valve", "late"]


def test_a_snippet_is_of_what_a_person_wrote_before_it_is_of_the_facts() -> None:
    assert snippet(Question.of("valve"), f"{FACTS}\n\nA valve\nis  late").text == "… A valve is late".removeprefix(
        "… "
    )
    assert marked(snippet(Question.of("opened"), f"{FACTS}\n\nA text")) == ["opened"]


def test_without_any_word_the_part_nearest_in_meaning_is_shown() -> None:
    question, content = Question.of("thunderstorm"), f"{FACTS}\n\nFirst part. Second part."
    assert not has_terms(question, content)
    assert snippet(question, content, nearest="Second part.") == Snippet("Second part.")
    assert snippet(question, content) == Snippet("First part. Second part.")
    assert snippet(question, FACTS).text.startswith("Issue acme/rocket#12 State: opened")


def test_a_huge_document_is_read_only_in_part() -> None:
    content = f"{FACTS}\n\n{'x ' * 500_000}needle"
    assert not has_terms(Question.of("needle"), content)
    assert snippet(Question.of("needle"), content).text.startswith("x x")


def test_empty_content_has_an_empty_snippet() -> None:
    assert snippet(Question.of("x"), "") == Snippet("")


@given(st.text(max_size=600), st.text(max_size=40))
def test_every_mark_is_inside_the_snippet(content: str, question: str) -> None:
    found = snippet(Question.of(question), content)
    assert all(0 <= start < end <= len(found.text) for start, end in found.highlights)
    assert "\n" not in found.text
