import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from surgical_pipeline.domain.budgets import Deadline, MonotonicClock
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.embedders.protocol import Embedder, EmbedderError
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder
from surgical_pipeline.ledger.embeddings import EmbeddingCandidate
from surgical_pipeline.stages.shared.vectorizing import CALL_SIZE, WRITE_AFTER_SECONDS, Vectorized, Vectorizer
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder

MEGABYTE = 1_000_000


def documents(*contents: str, title: str = "Title") -> list[EmbeddingCandidate]:
    return [
        EmbeddingCandidate(f"d{number}", title, content, f"hash of {content[:99]} {len(content)}", current=False)
        for number, content in enumerate(contents)
    ]


def run(given: Sequence[EmbeddingCandidate], embedder: Embedder, deadline: Deadline | None = None) -> Vectorized:
    (result,) = parts(given, embedder, deadline=deadline)
    return result


def parts(
    given: Sequence[EmbeddingCandidate],
    embedder: Embedder,
    *,
    deadline: Deadline | None = None,
    clock: MonotonicClock = lambda: 0.0,
) -> list[Vectorized]:
    async def collect() -> list[Vectorized]:
        return [
            one async for one in Vectorizer(embedder, "embed", deadline=deadline, clock=clock).vectorize(given)
        ]

    return asyncio.run(collect())


def ids(result: Vectorized) -> list[str]:
    return [one.document_id for one in result.vectors]


def test_a_call_takes_so_many_documents_and_all_come_together() -> None:
    embedder = FakeEmbedder()
    result = run(documents(*map(str, range(2 * CALL_SIZE + 1))), embedder)
    assert [len(texts) for texts in embedder.calls] == [CALL_SIZE, CALL_SIZE, 1]
    assert len(result.vectors) == 2 * CALL_SIZE + 1


def test_what_a_slow_embedder_has_computed_does_not_wait_for_the_rest() -> None:
    seconds = iter([0.0, WRITE_AFTER_SECONDS / 2, WRITE_AFTER_SECONDS, WRITE_AFTER_SECONDS, WRITE_AFTER_SECONDS])
    given = documents(*map(str, range(4 * CALL_SIZE)))
    found = parts(given, FakeEmbedder(), clock=lambda: next(seconds))
    assert [len(one.vectors) for one in found] == [2 * CALL_SIZE, 2 * CALL_SIZE]


def test_a_dead_embedder_is_told_at_once_and_the_next_call_is_another_try() -> None:
    embedder = FakeEmbedder(fails_on_calls=[2])
    first, second = parts(documents(*map(str, range(3 * CALL_SIZE))), embedder)
    assert (len(first.vectors), len(first.failures)) == (CALL_SIZE, CALL_SIZE)
    assert first.ended_by is not None
    assert (len(second.vectors), second.failures, second.ended_by) == (CALL_SIZE, {}, None)


def test_an_embedder_that_fails_two_calls_in_a_row_is_asked_no_more() -> None:
    embedder = FakeEmbedder(fails_on_calls=[1, 3, 4])
    *_, last_tried, rest = parts(documents(*map(str, range(7 * CALL_SIZE))), embedder)
    assert len(embedder.calls) == 4, "a call that succeeds between two that fail starts the count anew"
    assert len(last_tried.failures) == CALL_SIZE
    assert len(rest.failures) == 3 * CALL_SIZE
    assert {failure.code for failure in rest.failures.values()} == {FailureCode.EMBEDDER_ERROR}
    assert {failure.message for failure in rest.failures.values()} == {
        "not tried, as 2 calls in a row failed: the fake embedder was told to fail"
    }


def test_documents_of_one_text_share_a_call_however_far_apart_they_are() -> None:
    embedder = FakeEmbedder()
    result = run(documents("same", *map(str, range(2 * CALL_SIZE)), "same"), embedder)
    assert sum(map(len, embedder.calls)) == 2 * CALL_SIZE + 1
    assert len(result.vectors) == 2 * CALL_SIZE + 2


def test_documents_of_any_length_go_in_one_call() -> None:
    embedder = FakeEmbedder(max_tokens=16)
    result = run(documents("short", "word " * 100, "also short"), embedder)
    assert ids(result) == ["d0", "d1", "d2"]
    assert len(embedder.calls) == 1
    first, long, last = (len(one.vectors) for one in result.vectors)
    assert first == last == 1 < 100 / 16 < long
    assert (result.failures, result.ended_by) == ({}, None)


def test_nothing_to_embed_calls_no_embedder() -> None:
    embedder = FakeEmbedder()
    assert run([], embedder) == Vectorized((), {}, None, last=True)
    assert embedder.calls == []


def test_a_text_is_embedded_once_however_many_documents_have_it() -> None:
    embedder = FakeEmbedder()
    result = run(documents("same", "same", "other"), embedder)
    assert ids(result) == ["d0", "d1", "d2"]
    assert len(embedder.calls[0]) == 2


@pytest.mark.parametrize("bad", [[0], [5], [8], [0, 8], [3, 4, 5], list(range(9))])
def test_documents_with_a_refused_text_are_found_among_the_others(bad: list[int]) -> None:
    contents = [f"refused {i}" if i in bad else f"fine {i}" for i in range(9)]
    embedder = FakeEmbedder(refuses="refused")
    result = run(documents(*contents), embedder)
    assert sorted(result.failures) == [f"d{i}" for i in bad]
    assert ids(result) == [f"d{i}" for i in range(9) if i not in bad]
    assert {failure.code for failure in result.failures.values()} <= {FailureCode.EMBEDDER_ERROR}
    assert result.ended_by is None
    assert len(embedder.calls) <= 2 * len(bad) * 5


def test_an_embedder_that_dies_half_way_keeps_what_it_had_done() -> None:
    embedder = FakeEmbedder(refuses="refused", fails_on_calls=[3])
    result = run(documents("fine 0", "fine 1", "refused 2", "fine 3"), embedder)
    assert ids(result) == ["d0", "d1"]
    assert sorted(result.failures) == ["d2", "d3"]
    assert result.ended_by is not None
    assert result.ended_by.code is FailureCode.EMBEDDER_ERROR


def test_a_spent_deadline_ends_the_search_for_a_refused_text() -> None:
    readings = iter([0.0, 0.0])
    embedder = FakeEmbedder(refuses="refused", takes_seconds=0.5)
    deadline = Deadline.after(0.1, lambda: next(readings))
    result = run(documents(*(f"refused {i}" for i in range(8))), embedder, deadline)
    assert len(embedder.calls) == 1
    assert result.ended_by is not None
    assert result.ended_by.code is FailureCode.TIMEOUT
    assert len(result.failures) == 8


@dataclass
class CountingEmbedder(WordLlamaEmbedder):
    """The real one, which keeps count of the characters its tokenizer reads."""

    counted: int = 0
    calls: int = field(default=0)

    def count_tokens(self, text: str) -> int:
        self.counted += len(text)
        self.calls += 1
        return super().count_tokens(text)


@pytest.mark.parametrize(
    "content",
    ["x" * MEGABYTE, "The pump leaks. " * (MEGABYTE // 16), "😀" * (MEGABYTE // 10), "a line\n" * (MEGABYTE // 7)],
    ids=["one_word", "one_line", "emoji", "lines"],
)
def test_a_megabyte_is_embedded_whole_after_a_few_readings_of_it(content: str) -> None:
    embedder = CountingEmbedder()
    (vectors,) = run(documents(content), embedder).vectors
    assert len(vectors.vectors) > 10
    assert np.isfinite(np.asarray(vectors.vectors)).all()
    assert embedder.counted <= 8 * len(content) + 1000


def test_a_thread_of_many_notes_costs_a_few_readings_of_it() -> None:
    notes = [f"@eve on 2026-01-{1 + i % 28:02d}:\nNote {i}: the pump leaks at {i} bar." for i in range(150)]
    embedder = CountingEmbedder()
    content = "\n\n".join(notes)
    (vectors,) = run(documents(content), embedder).vectors
    tokens = WordLlamaEmbedder().count_tokens(content)
    assert tokens / embedder.max_tokens <= len(vectors.vectors) <= 2 * tokens / embedder.max_tokens
    assert embedder.counted <= 4 * len(content)


@pytest.mark.parametrize(("title", "content"), [("", ""), (" \n", "\t\n"), ("", "\x00"), ("Title", "")])
def test_a_document_without_a_word_has_one_vector(title: str, content: str) -> None:
    (vectors,) = run(documents(content, title=title), WordLlamaEmbedder()).vectors
    assert len(vectors.vectors) == 1
    assert np.isfinite(np.asarray(vectors.vectors)).all()


def test_the_error_of_an_embedder_is_the_message_of_each_failure() -> None:
    class Dead(FakeEmbedder):
        def count_tokens(self, text: str) -> int:
            raise EmbedderError(f"no model for {text[:1]}")

    result = run(documents("a", "b"), Dead())
    assert [failure.message for failure in result.failures.values()] == ["no model for T"] * 2
