"""A clock that was wrong wrote times of GitLab's future: they guard nothing, and who finds them says so."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.freshness import CLOCK_MARGIN
from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.content import record_misses, upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    PROJECT,
    at,
    discussion,
    discussions,
    entity,
    issue,
    linked,
    merge_request,
    note,
    read_sql,
)

DAY = 24 * 3600
MARGIN = CLOCK_MARGIN.total_seconds()
BOTH = [issue(1), merge_request(1)]


def state(tx: Transaction, key: EntityKey, *names: str) -> tuple[object, ...]:
    asked = f"SELECT {', '.join(names)} FROM entities WHERE entity_type = $type AND iid = $iid"
    (row,) = read_sql(tx, asked, type=str(key.entity_type), iid=key.iid)
    return row


@pytest.mark.parametrize("key", BOTH, ids=str)
@pytest.mark.parametrize("ahead", [DAY, MARGIN + 1])
def test_a_row_of_the_future_is_replaced_with_a_warning(ledger: Ledger, key: EntityKey, ahead: float) -> None:
    with ledger.write("ingest") as tx:
        upsert_entities(tx, "run-1", [entity(key, fetched=100 + ahead)])
        new = entity(key, fetched=99, title="New")
        (warning,) = upsert_entities(tx, "run-2", [new], present=lambda: at(100))[key]
        assert f"as fetched at {at(100 + ahead):%Y-%m-%d %H:%M:%S} UTC" in warning
        assert state(tx, key, "title", "fetched_at") == ("New", at(99))
        assert upsert_entities(tx, "run-3", [new], present=lambda: at(100)) == {key: ()}


@pytest.mark.parametrize("key", BOTH, ids=str)
@pytest.mark.parametrize("present", [at(100), None], ids=["within the margin", "not known"])
def test_a_later_fetch_that_can_be_is_believed(ledger: Ledger, key: EntityKey, present: datetime | None) -> None:
    with ledger.write("ingest") as tx:
        upsert_entities(tx, "run-1", [entity(key, fetched=100 + MARGIN)])
        new = entity(key, fetched=99, title="New")
        assert upsert_entities(tx, "run-2", [new], present=lambda: present) == {}
        assert state(tx, key, "title") == ("Engine",)


def test_an_updated_at_that_went_back_is_told_with_both_times(ledger: Ledger) -> None:
    with ledger.write("ingest") as tx:
        upsert_entities(tx, "run-1", [entity(issue(1), updated=90), entity(issue(2), updated=90)])
        went = "from 2026-05-04 12:01:30 UTC to 2026-05-04 12:00:10 UTC"
        new = [entity(issue(1), updated=10, fetched=161), entity(issue(2), updated=90, fetched=161)]
        assert upsert_entities(tx, "run-2", new, present=lambda: at(161)) == {
            issue(1): (f"its updated_at went back {went}; the later fetch counts",),
            issue(2): (),
        }


@pytest.mark.parametrize("key", BOTH, ids=str)
def test_what_is_missed_is_tombstoned_though_its_row_or_its_miss_is_of_the_future(
    ledger: Ledger, key: EntityKey
) -> None:
    with ledger.write("miss") as tx:
        upsert_entities(tx, "run-1", [entity(key, fetched=DAY)])
        for number, when in ((2, DAY), (3, 200)):
            done = record_misses(tx, f"run-{number}", 7, [key], missed_at=at(when), present=partial(at, when))
            assert done.tombstoned == ({key} if number == 3 else set())
        assert state(tx, key, "missed_at", "deleted_at") == (at(200), at(200))


@pytest.mark.parametrize("key", BOTH, ids=str)
@pytest.mark.parametrize("stale", [False, True])
def test_a_miss_of_the_future_is_taken_back_by_the_next_fetch(ledger: Ledger, key: EntityKey, stale: bool) -> None:
    with ledger.write("miss") as tx:
        upsert_entities(tx, "run-1", [entity(key, updated=50, fetched=100)])
        record_misses(tx, "run-2", 7, [key], missed_at=at(DAY), present=lambda: at(DAY))
        new = entity(key, updated=40 if stale else 60, fetched=120)
        assert upsert_entities(tx, "run-3", [new], present=lambda: at(120)).keys() == (set() if stale else {key})
        assert state(tx, key, "missed_at", "missed_run_id", "deleted_at") == (None, None, None)


def test_a_project_of_the_future_is_replaced(ledger: Ledger) -> None:
    renamed = ProjectRecord(PROJECT.project_id, "acme/renamed", "{}")
    with ledger.write("project") as tx:
        upsert_project(tx, "run-1", PROJECT, at(DAY))
        upsert_project(tx, "run-2", renamed, at(10))
        assert read_sql(tx, "SELECT path FROM projects") == [(PROJECT.path,)]
        upsert_project(tx, "run-2", renamed, at(10), present=lambda: at(10))
        assert read_sql(tx, "SELECT path FROM projects") == [("acme/renamed",)]


def test_dependents_of_the_future_are_replaced_and_named_and_later_ones_stay_and_are_named(
    ledger: Ledger,
) -> None:
    talks, links = (issue(1), Dependent.DISCUSSIONS), (issue(1), Dependent.LINKS)
    with ledger.write("replace") as tx:
        first = [
            discussions(issue(1), discussion("a", note(1)), fetched=DAY),
            linked(issue(1), Dependent.LINKS, ["x"], fetched=102),
        ]
        replace_dependents(tx, "run-1", 7, first)
        again = [
            discussions(issue(1), fetched=101),
            linked(issue(1), Dependent.LINKS, [], fetched=101),
        ]
        done = replace_dependents(tx, "run-2", 7, again, present=lambda: at(101))
        assert done.replaced == {talks}
        assert done.stale == {links}
        assert done.unbelieved == {talks: at(DAY)}
        assert read_sql(tx, "SELECT COUNT(*) FROM notes") == [(0,)]
        assert read_sql(tx, "SELECT COUNT(*) FROM linked_records") == [(1,)]
        once_more = replace_dependents(tx, "run-3", 7, again, present=lambda: at(101) + timedelta(seconds=1))
        assert once_more.unbelieved == {}
