"""Who waited for others judges what they wrote by the time after the wait: a later fetch is none of the future."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.freshness import Present
from surgical_pipeline.ledger.content import record_misses, upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, entity, issue, linked, read_sql
from surgical_pipeline_tests.integration.ledger.postgres.test_together import wait_until_it_waits

BEFORE, LATER = 100, 900
"""When the two fetches began, in seconds. The older one is written last."""

Write = Callable[[Transaction, int, Present], object]


def write_project(tx: Transaction, when: int, present: Present) -> None:
    upsert_project(tx, f"run-{when}", PROJECT, at(when), present=present)


def write_entity(tx: Transaction, when: int, present: Present) -> None:
    upsert_entities(tx, f"run-{when}", [entity(issue(1), fetched=when, updated=when)], present=present)


def write_dependents(tx: Transaction, when: int, present: Present) -> None:
    links = [linked(issue(1), Dependent.LINKS, [], fetched=when)]
    replace_dependents(tx, f"run-{when}", 7, links, present=present)


def miss_what_was_fetched_later(tx: Transaction, when: int, present: Present) -> None:
    if when == LATER:
        write_entity(tx, when, present)
    else:
        record_misses(tx, f"run-{when}", 7, [issue(1)], missed_at=at(when), present=present)


KEPT: dict[str, tuple[Write, tuple[Write, ...], str]] = {
    "a project": (write_project, (write_project,), "SELECT fetched_at FROM projects"),
    "an entity": (write_entity, (write_project, write_entity), "SELECT fetched_at FROM entities"),
    "a new entity": (write_entity, (write_project,), "SELECT fetched_at FROM entities"),
    "dependents": (write_dependents, (write_project, write_entity), "SELECT fetched_at FROM dependent_fetches"),
    "no miss": (
        miss_what_was_fetched_later,
        (write_project, write_entity),
        "SELECT fetched_at FROM entities WHERE missed_at IS NULL",
    ),
}
"""What both write, what is there already, and how to see that the later fetch is kept."""


@pytest.mark.parametrize(("write", "there", "kept"), KEPT.values(), ids=KEPT)
def test_a_fetch_that_began_during_a_wait_is_kept(
    ledger: PostgresLedger, write: Write, there: tuple[Write, ...], kept: str
) -> None:
    now = [at(BEFORE)]

    def present() -> datetime:
        return now[0]

    def write_what_is_older() -> None:
        with ledger.write("older") as tx:
            write(tx, BEFORE, present)

    with ledger.write("fill") as tx:
        for one in there:
            one(tx, 0, lambda: None)
    with ThreadPoolExecutor(1) as threads:
        with ledger.write("later") as tx:
            write(tx, LATER, lambda: at(LATER))
            older = threads.submit(write_what_is_older)
            wait_until_it_waits(ledger, older)
            now[0] = at(LATER)
        older.result(timeout=60)
    with ledger.read() as tx:
        assert read_sql(tx, kept) == [(at(LATER),)]
