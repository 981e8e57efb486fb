"""Runs that fetch the same issues side by side, in every order, against a GitLab that hides some of its changes.

The model's GitLab writes ``updated_at`` for a label at most once in 60 s and for a note's deletion never, as the
real one does. What a fetch reads is of some moment after its beginning, which is its ``fetched_at``.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from surgical_pipeline.domain.freshness import is_settled
from surgical_pipeline.domain.records import DependentSet, DiscussionRecord, EntityRecord
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    at,
    discussion,
    discussions,
    entity,
    issue,
    note,
    read_sql,
    run_sql,
)

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


def interleaved(one: str, other: str) -> Iterator[str]:
    """Every way to go through both, each in its own order."""
    if not one or not other:
        yield one + other
        return
    yield from (one[0] + rest for rest in interleaved(one[1:], other))
    yield from (other[0] + rest for rest in interleaved(one, other[1:]))


def takes_over(mine: EntityRecord, before: EntityRecord) -> bool:
    """Later by more than replicas lag wins; within that the later ``updated_at``, then the later fetch."""
    later = (mine.fetched_at - before.fetched_at).total_seconds()
    if abs(later) > 60:
        return later > 0
    return (mine.updated_at, mine.fetched_at) >= (before.updated_at, before.fetched_at)


class World:
    """A GitLab, its ledger's open window, and what must be in it. ``row`` and ``thread``: what stands there."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.now = 1000
        self.project_id = next(_projects)
        self.gitlab = Truth(updated=self.now)
        self.fetches: dict[int, Fetch] = {}
        self.row: EntityRecord | None = None
        self.thread: DependentSet | None = None

    def change(self, what: str) -> None:
        notes = self.gitlab.notes
        if what == "label":
            self.gitlab.labels += 1
        elif what == "note":
            notes[next(_note_ids)] = "first"
        elif what == "edit":
            notes |= {note_id: text + " edited" for note_id, text in list(notes.items())[-1:]}
        elif notes:
            del notes[next(iter(notes))]
        if what != "delete":
            self.gitlab.touch(self.now)

    def begin(self, run: int) -> None:
        self.now += 1
        self.fetches[run] = Fetch(at=self.now)

    def answer(self, run: int, *, page_fails: bool = False) -> None:
        """Where a page fails, what was read of the thread is dropped: nothing of it may ever show."""
        fetch = self.fetches[run]
        fetch.record = self._read_issue(fetched=fetch.at)
        fetch.thread = None if page_fails else self._read_thread(fetched=fetch.at)

    def write_issue(self, run: int) -> None:
        mine, before = self.fetches[run].record, self.row
        if mine is None:
            return
        fresher = before is None or takes_over(mine, before)
        assert upsert_entities(self.tx, "run", [mine]).keys() == ({KEY} if fresher else frozenset())
        self.row = mine if fresher else before
        self._commit()

    def write_thread(self, run: int) -> None:
        mine, before = self.fetches[run].thread, self.thread
        if mine is None:
            return
        fresher = before is None or mine.fetched_at >= before.fetched_at
        done = replace_dependents(self.tx, "run", self.project_id, [mine])
        assert (bool(done.replaced), bool(done.stale)) == (fresher, not fresher)
        self.thread = mine if fresher else before
        self._commit()

    def check(self) -> None:
        """The fresher fetch stands, threads are whole and never go back, and settled means what it says."""
        row = self.row
        asked = "SELECT title, updated_at, fetched_at FROM issues WHERE project_id = $id"
        found = read_sql(self.tx, asked, id=self.project_id)
        assert found == ([] if row is None else [(row.title, row.updated_at, row.fetched_at)])
        asked = "SELECT note_id, payload::VARCHAR FROM notes WHERE project_id = $id ORDER BY note_id"
        found = read_sql(self.tx, asked, id=self.project_id)
        records = cast("tuple[DiscussionRecord, ...]", self.thread.records if self.thread else ())
        assert found == sorted((one.note_id, one.payload) for record in records for one in record.notes)
        if row and is_settled(row.updated_at, row.fetched_at) and row.updated_at == at(self.gitlab.updated):
            assert row.title == f"labels {self.gitlab.labels}"

    def finish(self) -> None:
        """One more whole run brings everything to what GitLab has now."""
        self.begin(0)
        self.answer(0)
        self.write_issue(0)
        self.write_thread(0)
        last = self.fetches[0]
        assert (self.row, self.thread) == (last.record, last.thread)
        self.check()

    def _read_issue(self, *, fetched: int) -> EntityRecord:
        labels = f"labels {self.gitlab.labels}"
        return entity(KEY, updated=self.gitlab.updated, fetched=fetched, title=labels, project_id=self.project_id)

    def _read_thread(self, *, fetched: int) -> DependentSet:
        notes = [note(one, position, text) for position, (one, text) in enumerate(self.gitlab.notes.items())]
        return discussions(KEY, *([discussion("thread", *notes)] if notes else []), fetched=fetched)

    def _commit(self) -> None:
        """Each write is a transaction of its own, as in a run; only the file stays open, to be quick."""
        run_sql(self.tx, "COMMIT")
        run_sql(self.tx, "BEGIN TRANSACTION")


STEPS = (World.begin, World.answer, World.write_issue, World.write_thread)
"""A run's, in their order."""
ORDERS = sorted(interleaved("AAAA", "BBBB"))
BETWEEN = ("label", "note", "minute", "delete", "note", "edit", "label", "minute", "delete")
"""What GitLab sees happen before each step, over and over."""


@pytest.mark.parametrize("half_fetched", ["", "A"], ids=["both whole", "one half fetched"])
def test_two_runs_leave_the_fresher_fetch_in_every_order_of_their_steps(ledger: Ledger, half_fetched: str) -> None:
    assert len(ORDERS) == 70  # 8! / (4! 4!)
    with ledger.write("every order") as tx:
        for number, order in enumerate(ORDERS):
            world = World(tx)
            changes = itertools.islice(itertools.cycle(BETWEEN), number % len(BETWEEN), None)
            steps = {"A": iter(STEPS), "B": iter(STEPS)}
            for name, change in zip(order, changes, strict=False):
                if change == "minute":
                    world.now += THROTTLE
                else:
                    world.change(change)
                step = next(steps[name])
                if step is World.answer:
                    world.answer(ord(name), page_fails=name == half_fetched)
                else:
                    step(world, ord(name))
                    world.check()
            world.finish()


class SideBySide(RuleBasedStateMachine):
    """More runs and more changes than can be tried in every order."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.window = ledger.write("side by side")
        self.world = World(self.window.__enter__())

    @rule(seconds=st.sampled_from([1, 35, 70]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += seconds

    @rule(what=st.sampled_from(["label", "note", "edit", "delete"]))
    def somebody_changes_the_issue(self, what: str) -> None:
        self.world.change(what)

    @rule(run=RUNS)
    def a_fetch_begins(self, run: int) -> None:
        self.world.begin(run)

    @precondition(lambda self: self.world.fetches)
    @rule(data=st.data(), page_fails=st.booleans())
    def gitlab_answers(self, data: st.DataObject, page_fails: bool) -> None:
        self.world.answer(self.one_of_the_runs(data), page_fails=page_fails)

    @precondition(lambda self: self.world.fetches)
    @rule(data=st.data())
    def a_run_writes_the_issue(self, data: st.DataObject) -> None:
        self.world.write_issue(self.one_of_the_runs(data))

    @precondition(lambda self: self.world.fetches)
    @rule(data=st.data())
    def a_run_writes_the_thread(self, data: st.DataObject) -> None:
        self.world.write_thread(self.one_of_the_runs(data))

    @rule()
    def a_run_goes_through_alone(self) -> None:
        self.world.finish()

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        self.world.check()

    def one_of_the_runs(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.world.fetches)))

    def teardown(self) -> None:
        try:
            self.world.finish()
        finally:
            self.window.__exit__(None, None, None)


def test_runs_side_by_side_leave_the_fresher_fetch_whatever_their_order(ledger: Ledger) -> None:
    class OnOneLedger(SideBySide):
        def __init__(self) -> None:
            super().__init__(ledger)

    run_state_machine_as_test(
        OnOneLedger,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],  # to make a failing example smaller takes minutes here
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
