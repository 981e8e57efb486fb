import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.documents.markdown import QUICK_ACTIONS, FenceReader, clean_markdown

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="
MEGABYTE = 1_000_000

pieces_of_markdown = st.sampled_from(
    [
        "```",
        "~~~",
        "````",
        "`",
        "``",
        "<!--",
        "-->",
        "/label ~bug",
        "/close",
        "\n",
        "\n\n",
        "  ",
        "> ",
        "- ",
        "1. ",
        "# ",
        "text",
        "![a](",
        f"{PIXEL})",
        '<img src="',
        '">',
        "\r\n",
        "\x00",
        "\ud800",
    ]
)
markdown = st.lists(pieces_of_markdown, max_size=40).map("".join) | st.text(max_size=200)


@pytest.mark.parametrize(
    "text",
    [
        "# Heading\n\nA paragraph\nof two lines.",
        "- [ ] open\n- [x] done\n  - nested",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "> a quote\n> of two lines",
        ">>>\na GitLab quote\n>>>",
        "```python\nprint('hi')\n\n\n\nprint('there')   \n```",
        "~~~\n/close\n<!-- kept -->\n~~~",
        "1. one\n   ```\n   /label ~bug\n   ```\n2. two",
        "> ```\n> /close\n> ```",
        "````\n```\n/close\n```\n````",
        "see `<!-- not a comment -->` and ``a ` b``",
        f"`![pixel]({PIXEL})`",
        f"```\n![pixel]({PIXEL})\n```",
        "![diagram](https://example.com/a.png)",
        "a /label in the line, /tmp/file and and/or",
        "/usr/bin/python\n/labels-are-great\n/unknown thing\n/",
        "  /close",
        "a <!-- that never ends\nand goes on",
        "an --> arrow",
        "so <!-- in a title broke it\n\nThis is to be read.\n\nand --> too",
        "so <!-- broke it\n\n```html\n<!-- x -->\n```",
        "so <!-- broke it\n- an item --> here",
        "> so <!-- broke it\n\nafter -->",
        "\\<!-- shown -->",
        "code:\n\n    <!-- x -->\n    /label ~bug  \n\n\n    more\n\nafter",
        "- item\n\n      <!-- code in it -->\n\n  after",
        "1. one\n   1. two\n\n          <!-- code in it -->",
        "- item\n\nno item\n\n    <!-- code -->",
        "---\n    <!-- code -->",
        "> ```\n> never closed\n    <!-- code -->",
        f"code:\n\n\t![pixel]({PIXEL})",
        "`code\n/close\nover <!-- lines -->`",
        "- > ```\n  > <!-- x -->\n  > ```",
        "> - ~~~\n>   <!-- x -->\n>   ~~~",
        "```\n> ```\n<!-- x -->\n```",
        "```\n``` >\n<!-- x -->\n```",
        "~~~~ sh `x`\n~~~\n/close\n~~~~",
        "```suggestion:-0+1\n/close\n```",
        "<details><summary>Log</summary>\n\n```\n/close\n```\n\n</details>",
        ":rocket: @alice &lt;b&gt; \u05e9\u05dc\u05d5\u05dd \u200b\u202e",
        f"![pixel](data:image/svg+xml,%3Csvg/%3E) {PIXEL[:11]}",
    ],
)
def test_what_people_read_stays_as_written(text: str) -> None:
    assert clean_markdown(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        (" \n\t\n", ""),
        ('/label ~bug ~"high prio"\nIt leaks.\n/assign @bob\n/close', "It leaks."),
        ("/CLOSE\ntext", "text"),
        ("/close\r\ntext\r\n", "text"),
        ("a <!-- note to self --> b", "a  b"),
        ("a\n<!--\n/close\n```\n-->\nb", "a\nb"),
        ("a <!-- x\ny --> b", "a  b"),
        ("<!-- one --><!-- two -->kept<!-- three -->", "kept"),
        ("<!---->x<!-->y", "xy"),
        ("<!-- template -->\n\n## What\n\n<!-- hint -->\n\nIt leaks.", "## What\n\nIt leaks."),
        ("`<!-- code -->` <!-- comment --> `more`", "`<!-- code -->`  `more`"),
        ("an ` alone <!-- gone -->", "an ` alone"),
        (f"see ![pixel]({PIXEL}) here", "see ![pixel]() here"),
        (f"see ![]({PIXEL}) here", "see  here"),
        (f'see <img alt="x" src="{PIXEL}"/> here', "see  here"),
        (f"[1]: {PIXEL.upper()}", "[1]:"),
        ("a  \nb\n\n\n\n\nc", "a\nb\n\nc"),
        ("```\ncode\n```\n/close\nafter", "```\ncode\n```\nafter"),
        ("```\nnever closed\n/close", "```\nnever closed\n/close"),
        ("> ```\n> code\n/close\nafter", "> ```\n> code\nafter"),
        ("```inline``` fence\n/close", "```inline``` fence"),
        ("/shrug I do not know\n/TABLEFLIP enough\n/shrug", "I do not know\nenough"),
        ("/label ~bug <!-- or ~feature -->\nafter", "after"),
        ("- a\n  <!-- x -->\n- b", "- a\n- b"),
        ("- a\n\n    <!-- not deep enough for code -->\n    b", "- a\n\n    b"),
        ("a\n    <!-- goes on, so no code -->\nb", "a\nb"),
        ("# heading\n    <!-- code -->\n", "# heading\n    <!-- code -->"),
        ("<!-- a --> <!-- b\n\nc --> d", "d"),
        ("> a <!-- x\n> y --> b", "> a  b"),
        ("\\` a <!-- x --> `", "\\` a  `"),
        ("- a ` b\n- c <!-- x --> `", "- a ` b\n- c  `"),
        (f'<img src="{PIXEL[:-2]}\n{"A" * 76}\n  {"B" * 76}\nCC==">after', "after"),
        (f"![pixel]({PIXEL})\n{'A' * 76}", f"![pixel]()\n{'A' * 76}"),
        ("- ```\n  /close\n  ```\n/close", "- ```\n  /close\n  ```"),
        ("nul \x00 and surrogate \ud800", "nul  and surrogate \ufffd"),
    ],
)
def test_what_only_machines_read_is_dropped(text: str, cleaned: str) -> None:
    assert clean_markdown(text) == cleaned


@pytest.mark.parametrize("name", sorted(QUICK_ACTIONS))
def test_every_quick_action_is_dropped_with_and_without_argument(name: str) -> None:
    said = "something\n" if name in {"shrug", "tableflip"} else ""  # to people

    assert clean_markdown(f"before\n/{name}\n/{name} something\nafter") == f"before\n{said}after"


@given(markdown)
def test_cleaning_never_fails_and_its_result_can_be_stored(text: str) -> None:
    cleaned = clean_markdown(text)

    assert "\x00" not in cleaned
    assert "\r" not in cleaned
    cleaned.encode()


@given(markdown)
def test_cleaning_is_deterministic_and_never_adds_text(text: str) -> None:
    cleaned = clean_markdown(text)

    assert cleaned == clean_markdown(text)
    assert len(cleaned) <= len(text)


@given(st.text(alphabet="ab \n#>-*|", max_size=200))
def test_every_word_of_plain_text_is_kept(text: str) -> None:
    assert clean_markdown(text).split() == text.split()


@given(st.lists(st.text(alphabet="ab` ~<!->/close", max_size=12), max_size=8))
def test_the_inside_of_a_fence_is_kept_to_the_letter(lines: list[str]) -> None:
    code = "\n".join(line.replace("~", "") for line in lines)
    text = f"before\n~~~~\n{code}\n~~~~\nafter"

    assert clean_markdown(text) == text


words = st.lists(st.text(alphabet="ab<!->/`~#*|1.", min_size=1, max_size=6), min_size=1, max_size=4).map(" ".join)
code_lines = st.lists(
    words | st.sampled_from(["<!-- x -->", "/close", PIXEL, "<!--", "-->"]), min_size=1, max_size=4
)


def fenced(lines: list[str], indent: str, mark: str) -> str:
    shown = [line.replace("~", "").replace("`", "") for line in lines]
    return "\n".join(f"{indent}{line}" for line in [f"{mark}sh", *shown, mark])


def indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def inline(words: str) -> str:
    return "``" + words.replace("`", "") + "``"


code = st.one_of(
    st.builds(fenced, code_lines, st.sampled_from(["", "  "]), st.sampled_from(["```", "~~~~"])),
    st.builds(fenced, code_lines, st.just("> "), st.just("```")),
    code_lines.map(indented),
    words.map(inline),
)
noise = st.sampled_from(
    [
        "/label ~bug",
        "<!-- one line -->",
        "<!-- several\n\n```\n    lines -->",
        f"![]({PIXEL})",
        "text <!-- inline --> text",
    ]
)
prose = st.sampled_from(
    ["text", "# heading", "| a | b |", "> quote", "a line\nand one more", "it broke on <!-- there"]
)


@given(st.lists(st.tuples(code, noise, prose), max_size=5))
def test_code_of_every_kind_is_kept_to_the_letter_among_noise(blocks: list[tuple[str, str, str]]) -> None:
    cleaned = clean_markdown("\n\n".join(part for block in blocks for part in block))

    at = 0
    for shown, _, said in blocks:
        at = cleaned.index(shown, at) + len(shown)
        at = cleaned.index(said, at) + len(said)
    assert clean_markdown(cleaned) == cleaned


@pytest.mark.parametrize(
    "unit",
    [
        "<!--",
        "<!-- ",
        "<!-- a -->",
        "<!--\n",
        "-->",
        "`",
        "` `` ",
        "` <!-- ` --> ",
        "![",
        "![](",
        "![](data:image/png;base64,",
        "data:image/",
        "data:image/png;a=b",
        "<img ",
        '<img src="" ',
        "[](",
        ">",
        "> - ",
        "1. ",
        "```\n",
        "/close\n",
        "\n",
        " ",
        "\t\n",
        "a",
        "a b\n",
        "    a\n\n",
        "- a\n  ",
        "# a\n",
        "`\n",
        "\\`",
        "a <!-- b\n\n",
        "/close <!-- ",
        "/shrug a\n",
        "data:image/png;base64,\n        ",
        f"data:image/png;base64,\n{'A' * 39}",
        f"data:image/png;base64,\n{'A' * 40}\n",
    ],
)
def test_a_megabyte_of_anything_takes_linear_time(unit: str) -> None:
    """Quadratic behaviour would take minutes here, not a second."""
    text = (unit * (MEGABYTE // len(unit) + 1))[:MEGABYTE]

    assert len(clean_markdown(text)) <= MEGABYTE


def test_a_megabyte_of_backtick_runs_of_all_lengths_takes_linear_time() -> None:
    text = " ".join("`" * length for length in range(1, 1400))

    assert clean_markdown(text) == text.strip()


@pytest.mark.parametrize(
    ("lines", "fenced"),
    [
        (["```", "a", "```", "b"], [True, True, True, False]),
        (["```py", "``", "~~~", "````", "b"], [True, True, True, True, False]),
        (["~~~ `x`", "~~~ no end", "~~~"], [True, True, True]),
        (["- ```", "  a", "  ```", "b"], [True, True, True, False]),
        (["> ```", "> a", "b"], [True, True, False]),
        (["``", "a"], [False, False]),
    ],
)
def test_a_fence_is_told_from_text(lines: list[str], fenced: list[bool]) -> None:
    reader = FenceReader()

    assert [reader.takes(line) for line in lines] == fenced
