"""Runs that fetch the same issues side by side, in every order, against a GitLab that hides some of its changes.

The model's GitLab writes ``updated_at`` for a label at most once in 60 s and for a note's deletion never, as the
real one does. What a fetch reads is of a moment between its beginning, which is its ``fetched_at``, and its writing.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from surgical_pipeline.domain.freshness import is_settled
from surgical_pipeline.domain.records import DependentSet, EntityRecord
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.windows import Ledger
from surgical_pipeline_tests.integration.ledger.examples import at, discussion, discussions, entity, issue, note

THROTTLE = 60
RUNS = st.integers(0, 2)
IIDS = st.sampled_from([1, 2])

_projects = itertools.count(1)
_note_ids = itertools.count(1)


@dataclass
class Truth:
    """An issue in GitLab: ``labels`` counts its changes."""

    updated: int = 0
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
        self.gitlab = {1: Truth(), 2: Truth()}
        self.fetches: dict[tuple[int, int], Fetch] = {}
        self.rows: dict[int, EntityRecord] = {}
        self.threads: dict[int, DependentSet] = {}
        self.window = ledger.write("side by side")
        self.tx = self.window.__enter__()

    @rule(seconds=st.sampled_from([1, 20, 70]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(iid=IIDS)
    def somebody_sets_a_label(self, iid: int) -> None:
        self.gitlab[iid].labels += 1
        self.gitlab[iid].touch(self.now)

    @rule(iid=IIDS)
    def somebody_writes_a_note(self, iid: int) -> None:
        self.gitlab[iid].notes[next(_note_ids)] = "first"
        self.gitlab[iid].touch(self.now)

    @rule(iid=IIDS)
    def somebody_edits_a_note(self, iid: int) -> None:
        for note_id, text in list(self.gitlab[iid].notes.items())[-1:]:
            self.gitlab[iid].notes[note_id] = text + " edited"
            self.gitlab[iid].touch(self.now)

    @rule(iid=IIDS)
    def somebody_deletes_a_note(self, iid: int) -> None:
        for note_id in list(self.gitlab[iid].notes)[:1]:
            del self.gitlab[iid].notes[note_id]

    @rule(run=RUNS, iid=IIDS)
    def a_fetch_begins(self, run: int, iid: int) -> None:
        self.now += 1
        self.fetches[run, iid] = Fetch(at=self.now)

    @rule(run=RUNS, iid=IIDS)
    def gitlab_answers_with_the_issue(self, run: int, iid: int) -> None:
        if fetch := self.fetches.get((run, iid)):
            fetch.record = self.read_issue(iid, fetched=fetch.at)

    @rule(run=RUNS, iid=IIDS)
    def gitlab_answers_with_the_thread(self, run: int, iid: int) -> None:
        if fetch := self.fetches.get((run, iid)):
            fetch.thread = self.read_thread(iid, fetched=fetch.at)

    @rule(run=RUNS, iid=IIDS)
    def a_page_fails(self, run: int, iid: int) -> None:
        """What was read of the thread is dropped: nothing of it may ever show."""
        if fetch := self.fetches.get((run, iid)):
            fetch.thread = None

    @rule(run=RUNS, iid=IIDS)
    def a_run_writes_the_issue(self, run: int, iid: int) -> None:
        fetch = self.fetches.get((run, iid))
        if fetch is None or fetch.record is None:
            return
        mine, before = fetch.record, self.rows.get(iid)
        fresher = before is None or (mine.updated_at, mine.fetched_at) >= (before.updated_at, before.fetched_at)
        written = upsert_entities(self.tx, f"run-{run}", [mine])
        assert written == ({mine.key} if fresher else frozenset())
        if fresher:
            self.rows[iid] = mine
        self.commit()

    @rule(run=RUNS, iids=st.sampled_from([(1,), (2,), (1, 2)]))
    def a_run_writes_threads(self, run: int, iids: tuple[int, ...]) -> None:
        found = [(iid, self.fetches.get((run, iid))) for iid in iids]
        sets = {iid: fetch.thread for iid, fetch in found if fetch is not None and fetch.thread is not None}
        replaced = replace_dependents(self.tx, f"run-{run}", self.project_id, list(sets.values()))
        fresher = {
            iid: one
            for iid, one in sets.items()
            if iid not in self.threads or one.fetched_at >= self.threads[iid].fetched_at
        }
        assert replaced == {(one.key, one.dependent) for one in fresher.values()}
        self.threads |= fresher
        self.commit()

    @invariant()
    def the_fresher_fetch_stands(self) -> None:
        asked = "SELECT iid, title, updated_at, fetched_at FROM issues WHERE project_id = $id ORDER BY iid"
        found = self.tx._connection.execute(asked, {"id": self.project_id}).fetchall()
        assert found == [
            (iid, row.title, row.updated_at, row.fetched_at) for iid, row in sorted(self.rows.items())
        ]

    @invariant()
    def threads_are_whole_and_never_go_back(self) -> None:
        asked = "SELECT noteable_iid, note_id, payload->>'body' FROM notes WHERE project_id = $id ORDER BY ALL"
        found = self.tx._connection.execute(asked, {"id": self.project_id}).fetchall()
        assert found == sorted(
            (iid, one.note_id, one.payload.split('"')[5])
            for iid, thread in self.threads.items()
            for record in thread.records
            if hasattr(record, "notes")
            for one in record.notes
        )

    @invariant()
    def a_settled_row_is_gitlabs_last_word_while_updated_at_is_the_same(self) -> None:
        for iid, row in self.rows.items():
            truth = self.gitlab[iid]
            if is_settled(row.updated_at, row.fetched_at) and row.updated_at == at(truth.updated):
                assert row.title == f"labels {truth.labels}"

    def teardown(self) -> None:
        """One more whole run brings everything to what GitLab has now."""
        try:
            self.now += 1
            for iid in self.gitlab:
                record, thread = self.read_issue(iid, fetched=self.now), self.read_thread(iid, fetched=self.now)
                assert upsert_entities(self.tx, "run-last", [record]) == {record.key}
                assert replace_dependents(self.tx, "run-last", self.project_id, [thread])
                self.rows[iid], self.threads[iid] = record, thread
            self.the_fresher_fetch_stands()
            self.threads_are_whole_and_never_go_back()
        finally:
            self.window.__exit__(None, None, None)

    def read_issue(self, iid: int, *, fetched: int) -> EntityRecord:
        truth = self.gitlab[iid]
        return entity(
            issue(iid),
            updated=truth.updated,
            fetched=fetched,
            title=f"labels {truth.labels}",
            project_id=self.project_id,
        )

    def read_thread(self, iid: int, *, fetched: int) -> DependentSet:
        notes = [note(one, position, text) for position, (one, text) in enumerate(self.gitlab[iid].notes.items())]
        threads = [discussion("thread", *notes)] if notes else []
        return discussions(issue(iid), *threads, fetched=fetched)

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
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
