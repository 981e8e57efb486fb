"""GitLab Markdown as text worth reading: what only machines read is dropped, everything else stays as written.

Dropped, outside code: quick actions (``/label ~bug``), HTML comments and images carried as base64. Code blocks,
tables, quotes and task lists stay. CommonMark decides what is code and where a comment ends, as in GitLab: nothing
is dropped that people see there. All of it takes time linear in the length of the text, for any text.
"""

import re
from collections.abc import Iterator

from surgical_pipeline.domain.foreign_text import well_formed

QUICK_ACTIONS = frozenset(
    """
    add_child add_contacts add_email approve assign assign_reviewer award blocked_by blocks board_move cc
    checkin_reminder child_epic clear_health_status clear_weight clone close confidential convert_to_ticket
    copy_metadata create_merge_request done draft due duplicate epic estimate estimate_time health_status
    invite_email iteration label labels link link_child linked_epic lock merge milestone move page parent_epic
    promote promote_to promote_to_incident publish react ready reassign reassign_reviewer rebase relabel relate
    remove_child remove_child_epic remove_contacts remove_due_date remove_email remove_epic remove_estimate
    remove_iteration remove_link remove_milestone remove_parent remove_parent_epic remove_time_estimate
    remove_time_spent remove_zoom reopen request_changes request_review reset_checklist reviewer run_pipeline
    set_parent severity ship shrug spend spend_time spent status submit_review subscribe tableflip tag
    target_branch timeline title todo type unapprove unassign unassign_reviewer unlabel unlink unlock
    unsubscribe wip weight zoom
    """.split()  # noqa: SIM905  a list of literals would take a hundred lines
)
"""Names of GitLab's quick actions, from its user documentation, including older versions."""

_SPEAKING_ACTIONS = frozenset({"shrug", "tableflip"})
"""Quick actions whose argument is for people."""

_CODE_INDENT = 4
_FENCE_OPENING = re.compile(
    r"(?P<containers>(?:[ \t>]|[-*+][ \t]|[0-9]{1,9}[.)][ \t])*)(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)"
)
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|[0-9]{1,9}[.)])[ \t]+")
_HEADING_OR_RULE = re.compile(r"[ \t>]*(?:#{1,6}(?:[ \t]|$)|(?:-{3,}|={3,}|_{3,}|\*{3,})[ \t]*$)")
_BLOCK_OPENING = re.compile(
    rf"{_HEADING_OR_RULE.pattern}|[ \t>]*(?:$|[-*+](?:[ \t]|$)|[0-9]{{1,9}}[.)](?:[ \t]|$)|\||```|~~~|<!--)"
)
_COMMENT_OPENING = re.compile(r"[ \t]*<!--")
_SUSPECT = re.compile(r"<!--|data:image/|^/[a-z]", re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(
    r"\\.|`+|(?P<comment><!--)|^/(?P<action>[A-Za-z_]+)(?=[ \t]|<!--|$)[ \t]*(?P<argument>[^\n]*)",
    re.MULTILINE,
)
_BACKTICKS = re.compile(r"`+")
# No part can run past the next "data:", so no text makes this slower than linear. If an image is wrapped, lines
# of at least 40 characters follow, then a rest up to the quote or bracket that closes it.
_BASE64_IMAGE = re.compile(
    r"data:image/[\w.+-]{1,100}(?:;[\w.+-]{1,100}=[\w.+-]{0,100}){0,8};base64,[A-Za-z0-9+/=_-]*"
    r"(?:\n[ \t]{0,40}[A-Za-z0-9+/]{40,}={0,2})*(?:\n[ \t]{0,40}[A-Za-z0-9+/]{1,100}={0,2}(?=[\"')]))?",
    re.IGNORECASE,
)
_IMAGE_TAG = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)


class FenceReader:
    """Distinguishes code fences from text. Feed it every line, in order, each without its line end."""

    def __init__(self) -> None:
        self._mark = ""
        self._quoted = False

    @property
    def is_open(self) -> bool:
        """The line after the last one fed is inside a fence."""
        return bool(self._mark)

    def holds(self, line: str) -> bool:
        """Whether the open fence continues at ``line``: it ends with its quote."""
        if self._quoted and not line.lstrip(" \t").startswith(">"):
            self._mark = ""
        return self.is_open

    def takes(self, line: str) -> bool:
        """Whether ``line`` belongs to a fence; its opening and closing lines do."""
        if self.holds(line):
            bare = line.lstrip(" \t>" if self._quoted else " \t").rstrip(" \t")
            if bare.startswith(self._mark) and not bare.strip(self._mark[0]):
                self._mark = ""
            return True
        opening = _FENCE_OPENING.match(line)
        if opening is None or (opening["mark"][0] == "`" and "`" in opening["info"]):
            return False
        self._mark = opening["mark"]
        self._quoted = ">" in opening["containers"]
        return True


class _Indentation:
    """Distinguishes indented code from text: it is indented four columns more than its list item."""

    def __init__(self) -> None:
        self._list_items: list[int] = []

    def is_code(self, line: str, *, after_text: bool) -> bool:
        """``line`` is not blank; directly after text it continues that text, whatever its indentation."""
        item = _LIST_ITEM.match(line)
        if after_text and not item:
            return False
        column = _column(line)
        while self._list_items and column < self._list_items[-1]:
            self._list_items.pop()
        if not after_text and column >= self._code_column:
            return True
        if item:
            self._list_items.append(len(item[0].expandtabs(_CODE_INDENT)))
        return False

    def code_end(self, text: str, end: int) -> int:
        """The end of the code whose first line ends at ``end``: its last line that is not blank."""
        at = end + 1
        while at < len(text):
            line_end = _line_end(text, at)
            line = text[at:line_end]
            if line.strip():
                if _column(line) < self._code_column:
                    break
                end = line_end
            at = line_end + 1
        return end

    @property
    def _code_column(self) -> int:
        return (self._list_items[-1] if self._list_items else 0) + _CODE_INDENT


def clean_markdown(text: str) -> str:
    """The text of a description or note without quick actions, HTML comments and base64 images.

    Fenced, indented and inline code is kept exactly. An HTML comment that never ends is kept too: it may be all
    the text there is. Outside code, blanks at line ends are removed and blank lines never follow each other.
    Any string is accepted; the same string gives the same bytes.
    """
    kept: list[str] = []
    for line in _kept_lines(well_formed(text)):
        if line is not None:
            kept.append(line)
        elif kept and kept[-1]:
            kept.append("")
    return "\n".join(kept).strip("\n")


def _kept_lines(text: str) -> Iterator[str | None]:
    """Cleaned lines; None for a blank one outside code."""
    fence, indentation = FenceReader(), _Indentation()
    last_closing = text.rfind("-->")
    after_text = False
    at = 0
    while at < len(text):
        end = _line_end(text, at)
        line = text[at:end]
        goes_on, after_text = after_text, False
        if line.strip() and not fence.holds(line) and indentation.is_code(line, after_text=goes_on):
            end = indentation.code_end(text, end)
            yield from text[at:end].split("\n")
        elif fence.takes(line):
            yield line
        elif not line.strip():
            yield None
        elif (behind := _behind_comments(text, at, last_closing=last_closing)) > at:
            end = _line_end(text, behind)
            yield from _without_noise(text[behind:end].lstrip())
        elif _HEADING_OR_RULE.match(line):
            yield from _without_noise(line)
        else:
            end = _paragraph_end(text, end)
            yield from _without_noise(text[at:end])
            after_text = True
        at = end + 1


def _paragraph_end(text: str, end: int) -> int:
    """The end of the paragraph whose first line ends at ``end``: inline parts may span its lines and no more."""
    while end < len(text):
        line_end = _line_end(text, end + 1)
        line = text[end + 1 : line_end]
        if not line.strip() or _BLOCK_OPENING.match(line):
            break
        end = line_end
    return end


def _without_noise(paragraph: str) -> Iterator[str]:
    """The lines of a paragraph without quick actions, comments and images; lines with nothing else are dropped."""
    if _SUSPECT.search(paragraph):
        paragraph = "".join(_kept_parts(paragraph))
    yield from (line.rstrip() for line in paragraph.split("\n") if line.strip())


def _kept_parts(paragraph: str) -> Iterator[str]:
    code_ends = _code_spans(paragraph)
    last_closing = paragraph.rfind("-->")
    at = scan = 0
    while found := _TOKEN.search(paragraph, scan):
        start, scan = found.span()
        if start in code_ends:
            scan = code_ends[start]
            yield _without_images(paragraph[at:start])
            yield paragraph[start:scan]
            at = scan
        elif found["comment"] and start + 2 <= last_closing:
            yield _without_images(paragraph[at:start])
            at = scan = _comment_end(paragraph, scan)
        elif found["action"] and (name := found["action"].lower()) in QUICK_ACTIONS:
            yield _without_images(paragraph[at:start])
            at = scan = found.start("argument") if name in _SPEAKING_ACTIONS else scan
    yield _without_images(paragraph[at:])


def _code_spans(text: str) -> dict[int, int]:
    """The end of inline code by its beginning: a run of backticks up to the next run of the same length."""
    spans: dict[int, int] = {}
    next_of_length: dict[int, int] = {}
    for run in reversed([match.span() for match in _BACKTICKS.finditer(text)]):
        length = run[1] - run[0]
        if length in next_of_length:
            spans[run[0]] = next_of_length[length]
        next_of_length[length] = run[1]
    return spans


def _without_images(text: str) -> str:
    """An image keeps its description: ``![a graph](data:image/png;base64,…)`` becomes ``![a graph]()``."""
    bare = _BASE64_IMAGE.sub("", text)
    if bare == text:
        return text
    bare = _IMAGE_TAG.sub(lambda tag: "" if 'src=""' in tag[0] or "src=''" in tag[0] else tag[0], bare)
    return bare.replace("![]()", "")


def _behind_comments(text: str, at: int, *, last_closing: int) -> int:
    """After the comments that begin a line at ``at``; they may contain blank lines. ``at`` if there are none."""
    while (opening := _COMMENT_OPENING.match(text, at)) and opening.end() - 2 <= last_closing:
        at = _comment_end(text, opening.end())
    return at


def _comment_end(text: str, opened: int) -> int:
    """After the comment whose ``<!--`` ends at ``opened``; its dashes may also be those of its end: ``<!-->``."""
    return text.index("-->", opened - 2) + len("-->")


def _column(line: str) -> int:
    """How deep its text stands."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(_CODE_INDENT))


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end
