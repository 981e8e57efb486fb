"""What must be true of the whole ledger at any moment, and the search for rows that break it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from pydantic import BaseModel, ConfigDict

from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.ledger.protocol import Ledger, Transaction

MAX_EXAMPLES = 10
_RUNS_AT_ONCE = 50_000
"""Whose scopes one window reads: about as long a window as the other invariants of a large ledger take."""


class Violation(BaseModel):
    """``invariant``: its name; ``meaning``: what should be true; ``examples``: at most ten of ``count``."""

    model_config = ConfigDict(frozen=True)

    invariant: str
    meaning: str
    count: int
    examples: tuple[str, ...]


class CheckReport(BaseModel):
    """``rows``: number of rows of each table, all of them read; ``checked``: invariant and meaning.

    ``superseded_projects``: a sentence for each project that is no longer current. That is no violation.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int
    rows: dict[str, int]
    checked: dict[str, str]
    violations: tuple[Violation, ...]
    superseded_projects: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.violations


StepWatch = Callable[[int, int, str], object]
"""Told before each step: its number from 1 on, the number of steps, and what should be true."""


def check(tx: Transaction) -> CheckReport:
    """Read every row and look for what breaks an invariant, all in one moment of the ledger.

    Raises:
        LedgerDamagedError: a part of the file cannot be read.
    """
    return _checked(lambda: nullcontext(tx), lambda *_: None)


def check_in_steps(ledger: Ledger, watch: StepWatch) -> CheckReport:
    """The same in many windows, so that nobody waits for all of it.

    Each invariant holds within one transaction, so what others write between two windows is no violation.

    Raises:
        LedgerError: the ledger cannot be read now, or a part of it is damaged.
    """
    return _checked(lambda: ledger.read("check"), watch)


def _checked(window: "_Window", watch: StepWatch) -> CheckReport:
    steps = 1 + len(_INVARIANTS)
    watch(1, steps, "every row can be read")
    with window() as tx:
        rows = {name: count for name, count, _ in tx.execute("read_every_row")}
        (version,) = tx.column("read_schema_version")
        superseded = tuple(tx.column("list_superseded_projects"))
    violations = []
    for number, (name, (meaning, find)) in enumerate(_INVARIANTS.items(), start=2):
        watch(number, steps, meaning)
        found = find(window)
        if found:
            examples = tuple(found[:MAX_EXAMPLES])
            violations.append(Violation(invariant=name, meaning=meaning, count=len(found), examples=examples))
    return CheckReport(
        schema_version=version,
        rows=rows,
        checked={name: meaning for name, (meaning, _) in _INVARIANTS.items()},
        violations=tuple(violations),
        superseded_projects=superseded,
    )


def _found_by(*query_names: str) -> "_Find":
    def find(window: _Window) -> list[str]:
        found: list[str] = []
        for name in query_names:
            with window() as tx:
                found += tx.column(name)
        return found

    return find


def _find_outcomes_of_other_entities(window: "_Window") -> list[str]:
    """Scopes are read here and not by a query, so between windows: of a million runs that takes many seconds."""
    wrong: list[str] = []
    after = ""
    while True:
        with window() as tx:
            runs = tx.rows("load_asked_and_answered", after=after, limit=_RUNS_AT_ONCE)
        wrong += [
            f"{run['run_id']}: {run['scope']} was asked, the outcomes are of "
            f"issues {run['issue_iids'] or 'none'}, merge requests {run['mr_iids'] or 'none'}"
            for run in runs
            if (run["issue_iids"], run["mr_iids"]) != _asked(run["scope"], run["requested"])
        ]
        if len(runs) < _RUNS_AT_ONCE:
            return wrong
        after = runs[-1]["run_id"]


def _asked(scope: str, requested: int) -> tuple[str, str] | None:
    """The IIDs of issues and merge requests; none for a text that is not a scope and so asked for nothing."""
    try:
        parsed = Scope.parse(scope)
    except ScopeError:
        return None if requested else ("", "")
    return ",".join(map(str, parsed.issue_iids)), ",".join(map(str, parsed.mr_iids))


_Window = Callable[[], AbstractContextManager[Transaction]]
_Find = Callable[[_Window], list[str]]
_INVARIANTS: dict[str, tuple[str, _Find]] = {
    "outcomes_counted": (
        "an ended run has as many outcomes as entities it was asked for",
        _found_by("find_wrong_outcome_counts"),
    ),
    "outcomes_of_scope": (
        "the outcomes of an ended run are those of the entities in its scope",
        _find_outcomes_of_other_entities,
    ),
    "endings_finished": (
        "an ended run has the time of its end and no stage that is still open",
        _found_by("find_unfinished_endings"),
    ),
    "nothing_pending": (
        "in an ended run every entity is up to date or has a failure",
        _found_by("find_pending_outcomes"),
    ),
    "failures_agree": (
        "an entity's own failure is the same in entity_outcomes and, at position 0, in entity_failures",
        _found_by("find_disagreeing_failures"),
    ),
    "embeddings_have_documents": (
        "every vector belongs to a live document",
        _found_by("find_lost_embeddings"),
    ),
    "deleted_leaves_nothing": (
        "a tombstoned entity has no live document and no vector",
        _found_by("find_leftovers_of_deleted"),
    ),
    "one_document_each": (
        "an entity or discussion has one document of a kind",
        _found_by("find_doubled_documents"),
    ),
    "one_project_each": (
        "of all projects with one path, all but one are superseded",
        _found_by("find_doubled_projects"),
    ),
    "notes_in_discussions": (
        "a note belongs to a discussion of its own entity",
        _found_by("find_stray_notes"),
    ),
    "dependents_claimed": (
        "rows of a dependent have their row in dependent_fetches",
        _found_by("find_unclaimed_dependents"),
    ),
    "dependents_counted": (
        "a dependent has as many rows as its last fetch wrote",
        _found_by("find_miscounted_dependents"),
    ),
    "entity_counters": (
        "a run's counters of entities and documents are what its outcomes add up to",
        _found_by("find_wrong_entity_counters"),
    ),
    "failure_counters": (
        "a run's counters of failures and warnings are what entity_failures and the outcomes' warnings add up to",
        _found_by("find_wrong_failure_counters"),
    ),
    "keys_unique": (
        "no primary key occurs twice",
        _found_by("find_duplicate_keys", "find_duplicate_words"),
    ),
}
