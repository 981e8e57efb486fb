"""The part of a document that shows why it was found."""

from dataclasses import dataclass

from surgical_pipeline.search.question import Question

WIDTH = 240
"""Characters of a snippet, without the ellipses."""

_LEAD_IN = 60
_LONGEST_READ = 200_000


@dataclass(frozen=True, slots=True)
class Snippet:
    """A stretch of text on one line. ``highlights``: where the question's words occur in it, as (start, end)."""

    text: str
    highlights: tuple[tuple[int, int], ...] = ()


def snippet(question: Question, content: str, *, nearest: str | None = None) -> Snippet:
    """The stretch of ``content`` with most of the question's terms; without any, the beginning of ``nearest``.

    What a person wrote is preferred to the facts (state, labels, …) that a document begins with.

    Args:
        question: what was asked.
        content: of the document.
        nearest: its part that is nearest in meaning, if known.
    """
    facts, _, body = content[:_LONGEST_READ].partition("\n\n")
    for text in (body, facts):
        start = _best_start(question, text)
        if start is not None:
            return _cut(question, text, start)
    return _cut(question, nearest or body or facts, 0)


def has_terms(question: Question, content: str) -> bool:
    """Whether a snippet of this content needs no ``nearest``."""
    return next(question.find_in(content[:_LONGEST_READ]), None) is not None


def _best_start(question: Question, text: str) -> int | None:
    """The start of the window of ``WIDTH`` characters whose distinct terms weigh most; the first of equals."""
    found = list(question.find_in(text))
    best, best_weight = None, 0.0
    for first, (start, _, _) in enumerate(found):
        weights = {}
        for _, end, term in found[first:]:
            if end - start > WIDTH - _LEAD_IN:
                break
            weights[term.text] = term.weight * len(term.text)
        weight = sum(weights.values())
        if weight > best_weight:
            best, best_weight = start, weight
    return best


def _cut(question: Question, text: str, start: int) -> Snippet:
    """From the beginning of the sentence or line, if it is near, to the end of a word."""
    from_here = max(0, start - _LEAD_IN)
    before = text[from_here:start]
    break_at = max(before.rfind("\n"), *(before.rfind(mark) + 1 for mark in (". ", "? ", "! ", "。")))
    if break_at > 0:
        from_here += break_at
    elif from_here:
        from_here += before.find(" ") + 1
    line = " ".join(text[from_here : from_here + WIDTH * 2].split())
    if len(line) > WIDTH:
        blank = line.rfind(" ", WIDTH // 2, WIDTH + 1)
        line = line[: blank if blank > 0 else WIDTH] + " …"
    elif from_here + WIDTH * 2 < len(text):
        line += " …"
    if text[:from_here].strip():
        line = "… " + line
    return Snippet(line, tuple((one, end) for one, end, _ in question.find_in(line)))
