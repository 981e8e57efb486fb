"""Runs that fetch the same issues side by side, in every order, against a GitLab that hides some of its changes.

The model's GitLab writes ``updated_at`` for a label at most once in 60 s and for a note's deletion never, as the
real one does. What a fetch reads is of some moment after its beginning, which is its ``fetched_at``.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from surgical_pipeline.domain.freshness import is_settled
from surgical_pipeline.domain.records import DependentSet, DiscussionRecord, EntityRecord
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.windows import Ledger
from surgical_pipeline_tests.integration.ledger.examples import at, discussion, discussions, entity, issue, note

THROTTLE = 60
RUNS = st.integers(1, 3)
IID = 1
KEY = issue(IID)

_projects = itertools.count(1)
_note_ids = itertools.count(1)


@dataclass
class Truth:
    """An issue in GitLab: ``labels`` counts its changes."""

    updated: int
    labels: int = 0
    notes: dict[int, str] = field(default_factory=dict)

    def touch(self, now: int) -> None:
        if now - self.updated >= THROTTLE:
            self.updated = now


@dataclass
class Fetch:
    """One run's fetch of one issue, begun at ``at``; what it has read so far."""

    at: int
    record: EntityRecord | None = None
    thread: DependentSet | None = None


class SideBySide(RuleBasedStateMachine):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.now = 1000
        self.project_id = next(_projects)
        self.gitlab = Truth(updated=self.now)
        self.fetches: dict[int, Fetch] = {}
        self.row: EntityRecord | None = None
        self.thread: DependentSet | None = None
        self.window = ledger.write("side by side")
        self.tx = self.window.__enter__()

    @rule(seconds=st.sampled_from([1, 35, 70]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(change=st.sampled_from(["label", "note", "edit", "delete"]))
    def somebody_changes_the_issue(self, change: str) -> None:
        notes = self.gitlab.notes
        if change == "label":
            self.gitlab.labels += 1
        elif change == "note":
            notes[next(_note_ids)] = "first"
        elif change == "edit":
            notes |= {note_id: text + " edited" for note_id, text in list(notes.items())[-1:]}
        elif notes:
            del notes[next(iter(notes))]
        if change != "delete":
            self.gitlab.touch(self.now)

    @rule(run=RUNS)
    def a_fetch_begins(self, run: int) -> None:
        self.now += 1
        self.fetches[run] = Fetch(at=self.now)

    @rule(run=RUNS, page_fails=st.booleans())
    def gitlab_answers(self, run: int, page_fails: bool) -> None:
        """Where a page fails, what was read of the thread is dropped: nothing of it may ever show."""
        if fetch := self.fetches.get(run):
            fetch.record = self.read_issue(fetched=fetch.at)
            fetch.thread = None if page_fails else self.read_thread(fetched=fetch.at)

    @rule()
    def a_run_goes_through_alone(self) -> None:
        self.now += 1
        self.fetches[0] = Fetch(self.now, self.read_issue(fetched=self.now), self.read_thread(fetched=self.now))
        self.write_issue(self.read_issue(fetched=self.now))
        self.write_thread(self.read_thread(fetched=self.now))

    @precondition(lambda self: any(fetch.record for fetch in self.fetches.values()))
    @rule(data=st.data())
    def a_run_writes_the_issue(self, data: st.DataObject) -> None:
        self.write_issue(data.draw(st.sampled_from([one.record for one in self.fetches.values() if one.record])))

    def write_issue(self, mine: EntityRecord) -> None:
        before = self.row
        fresher = before is None or (mine.updated_at, mine.fetched_at) >= (before.updated_at, before.fetched_at)
        assert upsert_entities(self.tx, "run", [mine]) == ({KEY} if fresher else frozenset())
        self.row = mine if fresher else before
        self.commit()

    @precondition(lambda self: any(fetch.thread for fetch in self.fetches.values()))
    @rule(data=st.data())
    def a_run_writes_the_thread(self, data: st.DataObject) -> None:
        self.write_thread(data.draw(st.sampled_from([one.thread for one in self.fetches.values() if one.thread])))

    def write_thread(self, mine: DependentSet) -> None:
        before = self.thread
        fresher = before is None or mine.fetched_at >= before.fetched_at
        assert bool(replace_dependents(self.tx, "run", self.project_id, [mine])) == fresher
        self.thread = mine if fresher else before
        self.commit()

    @invariant()
    def the_fresher_fetch_stands(self) -> None:
        asked = "SELECT title, updated_at, fetched_at FROM issues WHERE project_id = $id"
        found = self.tx._connection.execute(asked, {"id": self.project_id}).fetchall()
        row = self.row
        assert found == ([] if row is None else [(row.title, row.updated_at, row.fetched_at)])

    @invariant()
    def threads_are_whole_and_never_go_back(self) -> None:
        asked = "SELECT note_id, payload::VARCHAR FROM notes WHERE project_id = $id ORDER BY note_id"
        found = self.tx._connection.execute(asked, {"id": self.project_id}).fetchall()
        records = cast("tuple[DiscussionRecord, ...]", self.thread.records if self.thread else ())
        assert found == sorted((one.note_id, one.payload) for record in records for one in record.notes)

    @invariant()
    def a_settled_row_is_gitlabs_last_word_while_updated_at_is_the_same(self) -> None:
        row = self.row
        if row and is_settled(row.updated_at, row.fetched_at) and row.updated_at == at(self.gitlab.updated):
            assert row.title == f"labels {self.gitlab.labels}"

    def teardown(self) -> None:
        """One more whole run brings everything to what GitLab has now."""
        try:
            self.now += 1
            self.row, self.thread = self.read_issue(fetched=self.now), self.read_thread(fetched=self.now)
            assert upsert_entities(self.tx, "run", [self.row]) == {KEY}
            assert replace_dependents(self.tx, "run", self.project_id, [self.thread])
            self.the_fresher_fetch_stands()
            self.threads_are_whole_and_never_go_back()
        finally:
            self.window.__exit__(None, None, None)

    def read_issue(self, *, fetched: int) -> EntityRecord:
        labels = f"labels {self.gitlab.labels}"
        return entity(KEY, updated=self.gitlab.updated, fetched=fetched, title=labels, project_id=self.project_id)

    def read_thread(self, *, fetched: int) -> DependentSet:
        notes = [note(one, position, text) for position, (one, text) in enumerate(self.gitlab.notes.items())]
        return discussions(KEY, *([discussion("thread", *notes)] if notes else []), fetched=fetched)

    def commit(self) -> None:
        """Each write is a transaction of its own, as in a run; only the file stays open, to be quick."""
        self.tx._connection.execute("COMMIT")
        self.tx._connection.execute("BEGIN TRANSACTION")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """One ledger for all examples, each with a project of its own."""
    folder: Path = tmp_path_factory.mktemp("freshness")
    return Ledger(folder / "ledger.duckdb")


def test_runs_side_by_side_leave_the_fresher_fetch_whatever_their_order(shared: Ledger) -> None:
    class OnOneLedger(SideBySide):
        def __init__(self) -> None:
            super().__init__(shared)

    run_state_machine_as_test(
        OnOneLedger,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],  # to make a failing example smaller takes minutes here
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
