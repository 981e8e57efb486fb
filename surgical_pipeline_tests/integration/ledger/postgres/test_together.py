"""Many write at once: guards hold, numbers come in the order of commits, writers of other entities do not wait."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.belonging import claim
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.errors import LockTimeoutError, RunLostError
from surgical_pipeline.ledger.inbox import insert_events
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    PROJECT,
    at,
    document,
    entity,
    issue,
    issue_event,
    linked,
    read_sql,
    start,
)

T = TypeVar("T")
MANY = 8


def together(works: Sequence[Callable[[], T]]) -> list[T]:
    """The results of all, begun at the same moment."""
    barrier = threading.Barrier(len(works))

    def begun(work: Callable[[], T]) -> T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return [done.result(timeout=60) for done in [threads.submit(begun, work) for work in works]]


@contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator["Future[T]"]:
    """What another thread does while the block holds a window."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(work)


def waiting(ledger: PostgresLedger) -> int:
    """How many connections wait for a lock."""
    with ledger.read("waiting") as tx:
        found = read_sql(tx, "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return int(found[0][0])


def wait_until_it_waits(ledger: PostgresLedger, done: "Future[T]") -> None:
    """Or until it is done, which the caller's assertion finds."""
    pause = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        while not done.done() and not threads.submit(waiting, ledger).result():
            pause.wait(0.01)


def write_entity(ledger: PostgresLedger, key: EntityKey, fetched: float) -> bool:
    with ledger.write("ingest") as tx:
        return key in upsert_entities(tx, f"run-{fetched:.0f}", [entity(key, fetched=fetched, updated=fetched)])


def test_runs_that_start_at_once_have_numbers_in_the_order_of_their_commits(ledger: PostgresLedger) -> None:
    together([partial(start, ledger, f"run-{number}") for number in range(MANY)])
    with ledger.read() as tx:
        numbers = read_sql(tx, "SELECT number FROM sync_runs ORDER BY number")
    assert numbers == [(number,) for number in range(1, MANY + 1)]


def test_a_number_is_taken_only_when_the_lower_one_is_committed(ledger: PostgresLedger) -> None:
    with ledger.write("drain") as tx:
        assert insert_events(tx, [issue_event("first", 1)]) == 1

        def second() -> int:
            with ledger.write("drain") as other:
                return insert_events(other, [issue_event("second", 2)])

        with meanwhile(second) as done:
            wait_until_it_waits(ledger, done)
            assert not done.done()
            tx._connection.execute("COMMIT")
            assert done.result(timeout=30) == 1
            tx._connection.execute("BEGIN")
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT seq, event_key FROM gitlab_events ORDER BY seq") == [
            (1, "first"),
            (2, "second"),
        ]


def test_of_many_fetches_of_an_entity_the_freshest_stays_whatever_their_order(ledger: PostgresLedger) -> None:
    together([partial(write_entity, ledger, issue(1), 1000.0 * number) for number in range(MANY)])
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT fetched_at FROM entities") == [(at(1000.0 * (MANY - 1)),)]


def test_windows_of_the_same_entities_in_any_order_never_wait_for_each_other_in_a_circle(
    ledger: PostgresLedger,
) -> None:
    keys = [issue(number) for number in range(1, 40)]

    def write(number: int) -> None:
        records = [entity(key, fetched=100 + number) for key in keys]
        with ledger.write("ingest") as tx:
            upsert_entities(tx, f"run-{number}", records if number % 2 else records[::-1])

    for _ in range(3):
        together([partial(write, number) for number in range(MANY)])


def test_a_writer_of_another_entity_does_not_wait(ledger: PostgresLedger) -> None:
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-0", PROJECT, at(0))
        upsert_entities(tx, "run-0", [entity(issue(1)), entity(issue(2))])
    with ledger.write("ingest") as tx:
        upsert_entities(tx, "run-1", [entity(issue(1), fetched=100), entity(issue(3))])
        with meanwhile(partial(write_entity, ledger, issue(2), 100)) as other:
            assert other.result(timeout=30)


def test_a_writer_of_the_same_entity_waits_and_then_finds_what_was_written(ledger: PostgresLedger) -> None:
    with ThreadPoolExecutor(1) as threads:
        with ledger.write("ingest") as tx:
            upsert_entities(tx, "run-2", [entity(issue(1), fetched=900)])
            other = threads.submit(write_entity, ledger, issue(1), 100)
            wait_until_it_waits(ledger, other)
            assert not other.done()
        assert other.result(timeout=30) is False


def test_a_wait_has_a_limit(ledger: PostgresLedger) -> None:
    hasty = PostgresLedger(replace(ledger.address, text=f"{ledger.address.text} "), lock_timeout_seconds=0.1)
    with ledger.write("ingest") as tx:
        upsert_entities(tx, "run-1", [entity(issue(1))])
        with meanwhile(partial(write_entity, hasty, issue(1), 200)) as other, pytest.raises(LockTimeoutError):
            other.result(timeout=30)
    hasty.close()


def test_documents_are_not_written_over_those_of_a_source_that_changed_meanwhile(ledger: PostgresLedger) -> None:
    """The comparison and the write are two statements: between them, nothing of the entity is written."""
    write_entity(ledger, issue(1), 100)
    with ledger.read() as tx:
        source = load_sources(tx, PROJECT.project_id, [issue(1)])[0]
    with ThreadPoolExecutor(1) as threads:
        with ledger.write("docs") as tx:
            made = EntityDocuments(source.key, source.version, (document("doc", issue(1)),))
            assert write_documents(tx, "run-1", PROJECT.project_id, [made]) == frozenset()
            others: list[Future[object]] = [threads.submit(write_entity, ledger, issue(1), 900)]
            wait_until_it_waits(ledger, others[0])
            assert not others[0].done()
        assert others[0].result(timeout=30) is True
    with ledger.write("docs") as tx:
        assert write_documents(tx, "run-1", PROJECT.project_id, [made]) == {issue(1)}


def test_dependents_of_an_entity_wait_for_its_documents(ledger: PostgresLedger) -> None:
    write_entity(ledger, issue(1), 100)
    with ledger.read() as tx:
        source = load_sources(tx, PROJECT.project_id, [issue(1)])[0]

    def replace_links() -> bool:
        with ledger.write("dependents") as tx:
            sets = [linked(issue(1), Dependent.LINKS, ["a"])]
            return bool(replace_dependents(tx, "run-2", PROJECT.project_id, sets).replaced)

    with ThreadPoolExecutor(1) as threads:
        with ledger.write("docs") as tx:
            made = EntityDocuments(source.key, source.version, (document("doc", issue(1)),))
            assert write_documents(tx, "run-1", PROJECT.project_id, [made]) == frozenset()
            other = threads.submit(replace_links)
            wait_until_it_waits(ledger, other)
            assert not other.done()
        assert other.result(timeout=30)


def test_two_runs_embed_the_same_documents_and_leave_one_vector_of_each(ledger: PostgresLedger) -> None:
    keys = [issue(number) for number in range(1, 6)]
    with ledger.write("docs") as tx:
        upsert_entities(tx, "run-0", [entity(key) for key in keys])
        sources = load_sources(tx, PROJECT.project_id, keys)
        made = {one.key: document(f"doc{one.key}", one.key) for one in sources}
        batch = [EntityDocuments(one.key, one.version, (made[one.key],)) for one in sources]
        write_documents(tx, "run-0", PROJECT.project_id, batch)
    vectors = [
        DocumentVectors(one.document_id, one.content_hash, MODEL, 2, ((0.6, 0.8),)) for one in made.values()
    ]

    def embed(number: int) -> int:
        with ledger.write("embed") as tx:
            return len(write_vectors(tx, f"run-{number}", vectors if number % 2 else vectors[::-1]))

    assert together([partial(embed, number) for number in range(MANY)]) == [len(keys)] * MANY
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT COUNT(*) FROM embeddings") == [(len(keys),)]
        assert check(tx).violations == ()


def test_of_two_gitlabs_that_come_at_once_the_ledger_gets_one(ledger: PostgresLedger) -> None:
    def first_window(number: int) -> str | None:
        project = replace(PROJECT, project_id=number, path=f"acme/{number}", gitlab_url=f"https://{number}.test")
        with ledger.write("ingest") as tx:
            objection = claim(tx, f"run-{number}", project)
            if objection is None:
                upsert_project(tx, f"run-{number}", project, at(0))
            return objection

    objections = together([partial(first_window, number) for number in range(1, MANY + 1)])
    assert objections.count(None) == 1
    with ledger.read() as tx:
        assert len(read_sql(tx, "SELECT 1 FROM projects")) == 1


def test_of_two_projects_with_one_path_that_come_at_once_one_is_current(ledger: PostgresLedger) -> None:
    def write(number: int) -> None:
        with ledger.write("ingest") as tx:
            upsert_project(tx, f"run-{number}", replace(PROJECT, project_id=number), at(number))

    together([partial(write, number) for number in range(1, MANY + 1)])
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT project_id FROM projects WHERE superseded_by IS NULL") == [(MANY,)]


def test_a_run_ends_once_whoever_ends_it(ledger: PostgresLedger) -> None:
    start(ledger, "run-1", "acme/rocket#1")
    lost = Failure(code=FailureCode.WORKER_LOST, message="gone", stage="preflight")

    def end(number: int) -> bool:
        other = SyncRunRecorder(ledger, "run-1", clock=ledger.clock)
        return other.finish_failed(lost) if number % 2 else other.finish_cancelled()

    assert sorted(together([partial(end, number) for number in range(MANY)]))[-2:] == [False, True]
    with ledger.read() as tx:
        assert check(tx).violations == ()


def test_a_run_that_is_ended_while_its_window_is_open_writes_nothing_and_nobody_waits_in_a_circle(
    ledger: PostgresLedger,
) -> None:
    run = start(ledger, "run-1", "acme/rocket#1")
    with ThreadPoolExecutor(1) as threads:
        outside = SyncRunRecorder(ledger, "run-1", clock=ledger.clock)
        with pytest.raises(RunLostError), run.window("ingest") as tx:
            upsert_entities(tx, "run-1", [entity(issue(1))])
            assert threads.submit(outside.finish_cancelled).result(timeout=30)
            run.save_outcomes(tx, run.outcomes(tx))
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT COUNT(*) FROM entities") == [(0,)]
        assert read_sql(tx, "SELECT failure_code FROM entity_outcomes") == [("CANCELLED",)]
