"""GitLab Markdown as text worth reading: what only machines read is dropped, everything else stays as written.

Dropped, outside code: quick actions (``/label ~bug``), HTML comments and images carried as base64. Code blocks,
tables, quotes and task lists stay. All of it takes time linear in the length of the text, whatever the text.
"""

import re
from collections.abc import Iterator

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
"""Names of GitLab's quick actions, from its user documentation, older versions' included."""

_QUICK_ACTION = re.compile(r"/([A-Za-z_]+)(?=[ \t]|$)")
_FENCE_OPENING = re.compile(
    r"(?P<quote>[ \t>]*)(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t]+)?(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)"
)
_SUSPECT = re.compile(r"<!--|data:image/", re.IGNORECASE)
_CODE_OR_COMMENT = re.compile(r"`+|<!--")
_BACKTICKS = re.compile(r"`+")
# Neither part can run past the next "data:", so no text makes this slower than linear.
_BASE64_IMAGE = re.compile(
    r"data:image/[\w.+-]{1,100}(?:;[\w.+-]{1,100}=[\w.+-]{0,100}){0,8};base64,[A-Za-z0-9+/=_-]*", re.IGNORECASE
)
_IMAGE_TAG = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)


class FenceReader:
    """Tells code fences from text. Feed it every line, in order, each without its line end."""

    def __init__(self) -> None:
        self._mark = ""
        self._quoted = False

    @property
    def is_open(self) -> bool:
        """The line after the last one fed is inside a fence."""
        return bool(self._mark)

    def takes(self, line: str) -> bool:
        """Whether ``line`` belongs to a fence; its opening and closing lines do."""
        if self._mark and self._quoted and not line.lstrip(" \t").startswith(">"):
            self._mark = ""  # the quote is over, and what was open in it
        if self._mark:
            bare = line.strip(" \t>")
            if bare.startswith(self._mark) and not bare.strip(self._mark[0]):
                self._mark = ""
            return True
        opening = _FENCE_OPENING.match(line)
        if opening is None or (opening["mark"][0] == "`" and "`" in opening["info"]):
            return False
        self._mark = opening["mark"]
        self._quoted = ">" in opening["quote"]
        return True


def well_formed(text: str) -> str:
    r"""``text`` as databases and tokenizers take it: ``\n`` line ends, no NUL, no unpaired surrogate (U+FFFD)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clean_markdown(text: str) -> str:
    """The text of a description or note without quick actions, HTML comments and base64 images.

    Code fences and inline code are kept to the letter. An HTML comment that never ends is kept too: it may be
    all the text there is. Outside fences, blanks at line ends go and blank lines never follow each other.
    Any string is accepted; the same string gives the same bytes.
    """
    kept: list[str] = []
    for line, fenced in _kept_lines(well_formed(text)):
        if fenced:
            kept.append(line)
        elif line.strip():
            kept.append(line.rstrip())
        elif kept and kept[-1]:
            kept.append("")
    return "\n".join(kept).strip("\n")


def _kept_lines(text: str) -> Iterator[tuple[str, bool]]:
    """Lines worth keeping, each with whether it belongs to a code fence."""
    fence = FenceReader()
    last_closing = text.rfind("-->")
    at = 0
    while at < len(text):
        end = _line_end(text, at)
        line = text[at:end]
        if fence.takes(line):
            yield line, True
        else:
            kept = line
            if _SUSPECT.search(line):
                kept, end = _without_noise(text, at, last_closing=last_closing)
            emptied = line.strip() and not kept.strip()
            if not emptied and not _is_quick_action(kept):
                yield kept, False
        at = end + 1


def _is_quick_action(line: str) -> bool:
    match = _QUICK_ACTION.match(line)
    return match is not None and match[1].lower() in QUICK_ACTIONS


def _without_noise(text: str, start: int, *, last_closing: int) -> tuple[str, int]:
    """The line that begins at ``start`` without comments and images, and where it ends.

    A comment that spans lines joins the line it begins in with the one it ends in.
    """
    end = _line_end(text, start)
    spans = _code_spans(text, start, end)
    parts: list[str] = []
    at = scan = start
    while found := _CODE_OR_COMMENT.search(text, scan, end):
        if found[0] != "<!--":
            scan = spans.get(found.start(), found.end())
            if scan > found.end():
                parts += _without_images(text[at : found.start()]), text[found.start() : scan]
                at = scan
        elif found.start() + 2 > last_closing:
            scan = found.end()
        else:
            parts.append(_without_images(text[at : found.start()]))
            at = scan = text.index("-->", found.start() + 2) + len("-->")
            if at > end:
                end = _line_end(text, at)
                spans = _code_spans(text, at, end)
    parts.append(_without_images(text[at:end]))
    return "".join(parts), end


def _code_spans(text: str, start: int, end: int) -> dict[int, int]:
    """Where inline code that begins at a place ends: a run of backticks up to the next run of the same length."""
    spans: dict[int, int] = {}
    next_of_length: dict[int, int] = {}
    for run in reversed([match.span() for match in _BACKTICKS.finditer(text, start, end)]):
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


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end
