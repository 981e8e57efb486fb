import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.documents.chunks import MIN_MAX_TOKENS, TokenCounter, split_into_chunks

MEGABYTE = 1_000_000


def words(text: str) -> int:
    """A counter for which a line without blanks is one token, however long."""
    return len(text.split())


def quarters(text: str) -> int:
    """A counter that rounds up, so that the parts of a text count more than the whole."""
    return -(-len(text) // 4)


def greedy_bytes(text: str) -> int:
    """A counter for which a whole counts more than its parts: joining costs."""
    return len(text.encode()) + len(text) // 10


@dataclass
class Meter:
    """Counts tokens as ``quarters`` does, and what that cost."""

    calls: int = 0
    characters: int = 0

    def __call__(self, text: str) -> int:
        self.calls += 1
        self.characters += len(text)
        return quarters(text)


lines = st.sampled_from(
    [
        "# Head",
        "## Sub",
        "```",
        "~~~",
        "- item",
        "  - nested",
        "1. one",
        "> quote",
        "",
        "",
        "    code",
        "word " * 30,
    ]
) | st.text(alphabet="abc xyz", max_size=50)
contents = st.lists(lines, max_size=40).map("\n".join) | st.text(max_size=300)
counters = st.sampled_from([words, quarters, greedy_bytes, len])


@given(st.text(max_size=60), contents, counters, st.integers(MIN_MAX_TOKENS, 120))
def test_no_chunk_is_over_the_limit_and_each_begins_with_the_title(
    title: str, content: str, count_tokens: TokenCounter, max_tokens: int
) -> None:
    chunks = split_into_chunks(title, content, count_tokens=count_tokens, max_tokens=max_tokens)

    assert all(count_tokens(chunk) <= max_tokens for chunk in chunks)
    assert all(chunk.strip() for chunk in chunks)
    heads = {chunk.split("\n")[0] for chunk in chunks}
    if " ".join(title.replace("\x00", "").split()):
        assert len(heads) == 1
        assert " ".join(title.replace("\x00", "").split()).startswith(heads.pop())


@given(contents, counters, st.integers(40, 200))
def test_every_line_that_fits_is_whole_in_some_chunk(
    content: str, count_tokens: TokenCounter, max_tokens: int
) -> None:
    chunks = split_into_chunks("T", content, count_tokens=count_tokens, max_tokens=max_tokens)

    for line in re.split(r"[\r\n]", content.replace("\x00", "")):
        if line.strip() and 2 * count_tokens(f"T\n\n{line}\n") <= max_tokens:
            assert any(line.rstrip() in chunk for chunk in chunks)


@given(contents, counters, st.integers(MIN_MAX_TOKENS, 120))
def test_no_character_is_lost_or_told_twice(content: str, count_tokens: TokenCounter, max_tokens: int) -> None:
    chunks = split_into_chunks("T", content, count_tokens=count_tokens, max_tokens=max_tokens)

    told = "".join(chunk.removeprefix("T") for chunk in chunks)
    assert "".join(told.split()) == "".join(content.replace("\x00", "").split())


@given(st.text(max_size=20), contents, st.integers(MIN_MAX_TOKENS, 120))
def test_the_same_document_gives_the_same_chunks(title: str, content: str, max_tokens: int) -> None:
    first = split_into_chunks(title, content, count_tokens=quarters, max_tokens=max_tokens)

    assert split_into_chunks(title, content, count_tokens=quarters, max_tokens=max_tokens) == first


def test_what_fits_is_one_chunk() -> None:
    content = "# Head\n\nA paragraph.\n\n```\ncode\n```\n\n- item"

    assert split_into_chunks("Title", content, count_tokens=words, max_tokens=50) == (f"Title\n\n{content}",)


@pytest.mark.parametrize("content", ["", " \n\n\t"])
def test_a_document_without_text_is_its_title(content: str) -> None:
    assert split_into_chunks("Title", content, count_tokens=words, max_tokens=50) == ("Title",)


def test_neither_title_nor_text_gives_no_chunk() -> None:
    assert split_into_chunks(" ", "\n", count_tokens=words, max_tokens=50) == ()


def test_text_without_title_stands_alone() -> None:
    assert split_into_chunks("", "some text", count_tokens=words, max_tokens=50) == ("some text",)


def test_paragraphs_are_cut_between_and_not_inside() -> None:
    paragraphs = [f"{name} " * 20 for name in ("one", "two", "three")]

    chunks = split_into_chunks("T", "\n\n".join(paragraphs), count_tokens=words, max_tokens=25)

    assert chunks == tuple(f"T\n\n{paragraph.strip()}" for paragraph in paragraphs)


def test_a_code_fence_that_fits_is_never_cut() -> None:
    fence = "```\n" + "\n\n".join(f"line {i} of code" for i in range(10)) + "\n```"
    content = f"{'before ' * 30}\n{fence}\n{'after ' * 30}"

    chunks = split_into_chunks("T", content, count_tokens=words, max_tokens=45)

    assert any(fence in chunk for chunk in chunks)


def test_a_code_fence_that_fits_only_without_its_heading_is_not_cut() -> None:
    fence = "```\n" + "\n".join("a b c d" for _ in range(10)) + "\n```"

    chunks = split_into_chunks("T", f"# A long heading\n\n{fence}", count_tokens=words, max_tokens=44)

    assert any(fence in chunk for chunk in chunks)


def test_a_heading_stays_with_the_text_below_it() -> None:
    content = f"{'before ' * 18}\n\n# Heading\n\n{'below ' * 10}"

    chunks = split_into_chunks("T", content, count_tokens=words, max_tokens=24)

    assert [chunk.split()[1] for chunk in chunks] == ["before", "#"]


def test_list_items_are_kept_whole() -> None:
    content = "\n".join(f"- item {i} " + "word " * 6 for i in range(20))

    chunks = split_into_chunks("T", content, count_tokens=words, max_tokens=31)

    assert all(line.startswith("- item") for chunk in chunks for line in chunk.split("\n")[2:])


def test_a_long_line_is_cut_at_blanks() -> None:
    chunks = split_into_chunks("T", "word " * 500, count_tokens=quarters, max_tokens=50)

    assert {word for chunk in chunks for word in chunk.split()[1:]} == {"word"}


def test_a_title_longer_than_half_a_chunk_is_shortened() -> None:
    (chunk,) = split_into_chunks("long " * 100, "text", count_tokens=words, max_tokens=20)

    assert chunk == "long " * 9 + "long\n\ntext"


def test_the_first_line_keeps_its_indentation() -> None:
    chunks = split_into_chunks("T", "\n\n    indented", count_tokens=words, max_tokens=20)

    assert chunks == ("T\n\n    indented",)


@pytest.mark.parametrize("max_tokens", [0, -1, MIN_MAX_TOKENS - 1])
def test_a_limit_without_room_for_title_and_text_is_refused(max_tokens: int) -> None:
    with pytest.raises(ValueError, match="max_tokens must be at least 16"):
        split_into_chunks("T", "text", count_tokens=words, max_tokens=max_tokens)


def test_a_counter_that_no_text_can_satisfy_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(ValueError, match="counts more than 20 tokens"):
        split_into_chunks("", "text", count_tokens=lambda text: 100 * len(text), max_tokens=20)


@pytest.mark.parametrize(
    "content",
    [
        "x" * MEGABYTE,
        "lorem ipsum " * (MEGABYTE // 12),
        "漢字" * (MEGABYTE // 6),
        "a short line\n" * (MEGABYTE // 13),
        "a paragraph of some words\n\n" * (MEGABYTE // 27),
        "# Head\n\ntext\n\n" * (MEGABYTE // 14),
        "# Head\n" * (MEGABYTE // 7),
        "- a\n" * (MEGABYTE // 4),
        "```\n" + "code = 1\n" * (MEGABYTE // 9),
        "```\ncode\n```\n" * (MEGABYTE // 13),
        "\n" * MEGABYTE,
        " " * MEGABYTE,
    ],
    ids=[
        "one_line",
        "one_line_of_words",
        "wide",
        "lines",
        "paragraphs",
        "sections",
        "headings",
        "items",
        "fence",
        "fences",
        "newlines",
        "blanks",
    ],
)
def test_a_megabyte_costs_a_few_readings_of_it(content: str) -> None:
    meter = Meter()

    chunks = split_into_chunks("Title", content, count_tokens=meter, max_tokens=512)

    line_count, full_chunks = content.count("\n") + 1, quarters(content) // 512 + 1
    assert all(quarters(chunk) <= 512 for chunk in chunks)
    assert meter.calls <= 2 * line_count + 6 * full_chunks
    assert meter.characters <= 8 * len(content) + 1000
    filled = sum(map(len, chunks)) / max(1, len(chunks)) / (4 * 512)
    assert not content.strip() or filled > 0.6
