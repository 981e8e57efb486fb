"""What a search looks for, and how its rankings are fused. Pure: no ledger, no model."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from surgical_pipeline.domain.foreign_text import well_formed
from surgical_pipeline.domain.scope import MAX_IID, EntityKey, EntityType

MAX_TERMS = 48
"""Limit for a question; a pasted log has more, and its first lines say what it is about."""

RRF_CONSTANT = 1
"""How much the first ranks stand out. 60, the value of the method's authors, is for many long rankings: with two,
one of which may be wrong, it prefers what is mediocre in both. ``benchmarks/search.py`` measures it."""

EXACT, WORDS, MEANING = "exact", "words", "meaning"
"""The rankings of documents."""

WEIGHTS: Mapping[str, float] = {EXACT: 10.0, WORDS: 1.25, MEANING: 1.0}
"""Weights of the rankings when they are fused. Somebody who pastes an identifier or a message wants the document
that contains it: an average of token vectors captures little of those."""

MAX_EXACT = 16
"""Strings of a question that are looked for as they are written."""

_STOP_WORDS = frozenset(
    """
    a after all am an and any are as at be been before being but by can cannot could did do does for from had has
    have how i if in into is it its me my no not of on one or our out should so than that the their them then there
    these they this to too up us was we were what when where which who why will with would you your
    auf das dem den der des die ein eine ist mit nicht und von zu de el en la las los para por que un una
    du et le les na nie w z и в на не с
    """.split()  # noqa: SIM905, RUF001  a list of literals would take a hundred lines; one word is Cyrillic
)
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_SCRIPTS = re.compile(rf"[{_CJK}]+|[^{_CJK}]+")
_IDEOGRAPH = re.compile(f"[{_CJK}]")
_WORD = re.compile(r"[^\W_]")
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_COMPOUND = re.compile(r"[\W_]|[^\W\d_]\d|\d[^\W\d_]|[a-z][A-Z]")
_REFERENCE = re.compile(
    r"(?<![\w#!&/])(?P<project>[A-Za-z0-9_][\w./-]*/[\w.-]+)?(?P<sigil>[#!])(?P<iid>\d{1,10})(?!\w)"
)
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ed", "es", "s")
_SHORTEST_STEM = 4
_LONGEST_ENDING = 3
_PART_WEIGHT = 0.5
_QUOTED = re.compile(r'"([^"]+)"|`([^`]+)`|“([^”]+)”|「([^」]+)」|(?<!\w)\'([^\']+)\'(?!\w)')
_SEPARATORS = re.compile(r"[\s=()\[\]{}<>,;\"'`]+|(?<!:):(?!:)")
_LETTER = re.compile(r"[^\W\d_]")
_IDENTIFIER = re.compile(
    r"_|\d[^\W\d_]|[^\W\d_]-?\d|[a-z][A-Z]|[^\W_]\.[^\W_]{2}|/[^/]+/|::"  # snake_case FV-2 camelCase a.rs a/b/c
)
_SHORTEST_MESSAGE = 3
_LONGEST_EXACT = 200


@dataclass(frozen=True, slots=True)
class Reference:
    """An entity that a question names: ``acme/rocket#12``, or ``#12`` of any project."""

    key: EntityKey
    project_path: str | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """Lower case. A word is this term if it begins with it and has at most ``ending`` more characters."""

    text: str
    weight: float = 1.0
    ending: int = 0

    @property
    def inside(self) -> bool:
        """Matches anywhere: Chinese and Japanese put no blanks between words, and symbols need none."""
        return _IDEOGRAPH.match(self.text) is not None or not _WORD.search(self.text)

    def is_word(self, word: str) -> bool:
        return word.startswith(self.text) and len(word) - len(self.text) <= self.ending


@dataclass(frozen=True)
class Question:
    """A question taken apart: the entities it names, and the terms to look for, each once."""

    text: str
    references: tuple[Reference, ...]
    terms: tuple[Term, ...]

    @classmethod
    def of(cls, text: str) -> "Question":
        """Any text can be parsed. Common words and symbols are terms only if there are no others."""
        text = unicodedata.normalize("NFC", well_formed(text).replace("\x00", " "))
        found: dict[str, Term] = {}
        for term in _terms(text):
            known = found.get(term.text)
            if known is None and len(found) == MAX_TERMS:
                break
            if known is None or known.weight < term.weight:
                found[term.text] = term
        spoken = tuple(term for term in found.values() if term.text not in _STOP_WORDS)
        signs = tuple(Term(sign) for sign in dict.fromkeys(text.split()[:MAX_TERMS])) if not found else ()
        return cls(text, tuple(_references(text)), spoken or tuple(found.values()) or signs)

    @cached_property
    def exact(self) -> tuple[str, ...]:
        """Strings to find as written: the whole, if it has three words or more; quotations; identifiers."""
        whole = [self.text] if len(self.text.split()) >= _SHORTEST_MESSAGE else []
        quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(self.text)]
        bare = [_EDGES.sub("", one) for one in [*whole, *quoted, *_SEPARATORS.split(self.text)]]
        spoken = len(whole) + len(quoted)
        wanted = [*bare[:spoken], *(one for one in bare[spoken:] if _is_identifier(one))]
        fitting = [one for one in wanted if one and len(one) <= _LONGEST_EXACT]
        return tuple(dict.fromkeys(fitting))[:MAX_EXACT]

    @cached_property
    def exact_sql_pattern(self) -> str:
        """For DuckDB (RE2): finds what may be one of ``exact``, as ``sql_pattern`` does for terms."""
        longest_first = sorted(self.exact, key=lambda one: (-len(one), one))
        words = [_with_any_blanks(one) for one in longest_first if not _IDEOGRAPH.match(one)]
        inside = [_with_any_blanks(one) for one in longest_first if _IDEOGRAPH.match(one)]
        branches = [rf"(?:^|[^\p{{L}}\p{{N}}])(?:{'|'.join(words)})[\p{{L}}\p{{N}}]*"] if words else []
        return f"(?i)(?:{'|'.join([*branches, *inside])})" if longest_first else r"\b\B"

    def exact_in(self, text: str) -> frozenset[str]:
        """Those of ``exact`` that occur in a text, with no letter or digit directly before or after."""
        return frozenset(one for one, matcher in self._exact_matchers.items() if matcher.search(text))

    @cached_property
    def _exact_matchers(self) -> Mapping[str, re.Pattern[str]]:
        edges = {
            one: [r"[^\W_]" if not _IDEOGRAPH.match(edge) else r"\b\B" for edge in (one[0], one[-1])]
            for one in self.exact
        }
        return {
            one: re.compile(rf"(?i)(?<!{before}){_with_any_blanks(one)}(?!{after})")
            for one, (before, after) in edges.items()
        }

    @cached_property
    def sql_pattern(self) -> str:
        """For DuckDB (RE2): finds words that may be terms, each with the one character before it if there is one.

        Matches nothing if there is no term.
        """
        return self._pattern(letter=r"[\p{L}\p{N}]", other=r"[^\p{L}\p{N}]")

    @cached_property
    def _matcher(self) -> re.Pattern[str]:
        return re.compile(self._pattern(letter=r"[^\W_]", other=r"[\W_]"))

    def _pattern(self, *, letter: str, other: str) -> str:
        longest_first = sorted(self.terms, key=lambda term: (-len(term.text), term.text))
        words = [re.escape(term.text) for term in longest_first if not term.inside]
        inside = [re.escape(term.text) for term in longest_first if term.inside]
        branches = [f"(?:^|{other})(?:{'|'.join(words)}){letter}*"] if words else []
        return f"(?i)(?:{'|'.join([*branches, *inside])})" if longest_first else r"\b\B"

    def find_in(self, text: str) -> Iterator[tuple[int, int, Term]]:
        """Where terms occur in a text: start, end, term."""
        for match in self._matcher.finditer(text):
            for start in (match.start(), match.start() + 1):
                word = text[start : match.end()].lower()
                fitting = [term for term in self.terms if term.is_word(word)]
                if fitting:
                    yield start, match.end(), max(fitting, key=lambda term: len(term.text))
                    break


@dataclass(frozen=True, slots=True)
class Fused:
    """A document and its place in each ranking, from 1 on. ``score``: 1 for one that is first in all of them."""

    document_id: str
    score: float
    ranks: Mapping[str, int]


def fuse(rankings: Mapping[str, Sequence[str]], weights: Mapping[str, float] = WEIGHTS) -> list[Fused]:
    """One ranking of several by reciprocal ranks, best first; equals by id.

    Args:
        rankings: document ids by the ranking's name, best first, none twice; all that were used, even if they
            found nothing.
        weights: of each ranking.
    """
    ranks: dict[str, dict[str, int]] = {}
    for name, ids in rankings.items():
        for rank, document_id in enumerate(ids, start=1):
            ranks.setdefault(document_id, {})[name] = rank
    best = sum(weights[name] for name in rankings) / (RRF_CONSTANT + 1)
    fused = [
        Fused(one, sum(weights[name] / (RRF_CONSTANT + rank) for name, rank in found.items()) / best, found)
        for one, found in ranks.items()
    ]
    return sorted(fused, key=lambda one: (-one.score, one.document_id))


def _references(text: str) -> Iterator[Reference]:
    """In order of occurrence, each once."""
    seen = set()
    for match in _REFERENCE.finditer(text):
        iid = int(match["iid"])
        if 1 <= iid <= MAX_IID:
            kind = EntityType.ISSUE if match["sigil"] == "#" else EntityType.MERGE_REQUEST
            reference = Reference(EntityKey(kind, iid), match["project"])
            if reference not in seen:
                seen.add(reference)
                yield reference


def _with_any_blanks(text: str) -> str:
    return r"\s+".join(re.escape(word) for word in text.split())


def _is_identifier(word: str) -> bool:
    return all(one.search(word) for one in (_IDENTIFIER, _LETTER)) and not _IDEOGRAPH.search(word)


def _terms(text: str) -> Iterator[Term]:
    for chunk in text.split():
        if _REFERENCE.fullmatch(chunk):
            yield Term(chunk.lower())
            continue
        for run in _SCRIPTS.findall(chunk):
            if _IDEOGRAPH.match(run):
                yield from _ideographs(run)
            elif bare := _EDGES.sub("", run):
                yield from _compound(bare) if _COMPOUND.search(bare) else _plain([bare], weight=1)


def _ideographs(run: str) -> Iterator[Term]:
    """The whole run, and each two neighbours in it."""
    yield Term(run)
    if len(run) > 2:  # noqa: PLR2004
        yield from (Term(run[i : i + 2], _PART_WEIGHT) for i in range(len(run) - 1))


def _compound(word: str) -> Iterator[Term]:
    """An identifier, path or version as written; with less weight a path's last part, and the words in it."""
    yield Term(word.lower())
    name = word.rpartition("/")[2]
    if name != word and _COMPOUND.search(name):
        yield Term(name.lower(), _PART_WEIGHT)
    yield from _plain((part for part in _PARTS.findall(word) if len(part) > 1), weight=_PART_WEIGHT)


def _plain(words: Iterable[str], *, weight: float) -> Iterator[Term]:
    """Words without their ending, so that "valves" finds "valve" and "aborting" finds "aborted"."""
    for word in map(str.lower, words):
        if not word.isalpha():
            yield Term(word, weight)
            continue
        cut = next(
            (len(one) for one in _ENDINGS if word.endswith(one) and len(word) - len(one) >= _SHORTEST_STEM), 0
        )
        if word.endswith("ss"):
            cut = 0
        stem = word[: len(word) - cut]
        yield Term(stem, weight, _LONGEST_ENDING if len(stem) >= _SHORTEST_STEM else 1)
