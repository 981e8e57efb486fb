"""However fetches of one entity fall over each other, the ledger comes to rest at what GitLab has.

The model's GitLab may be edited at any time, with any ``updated_at``, as owners and importers do and as a restored
backup looks; and a fetch may be answered by a replica that lags by up to 60 s.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline_tests.integration.ledger.examples import at, entity, issue, read_sql

LAG = 60
KEY = issue(1)
_projects = itertools.count(1)


@dataclass(frozen=True)
class Edit:
    """At ``at`` GitLab's issue gets a new title, and whatever ``updated`` says."""

    at: int
    updated: int


@dataclass(frozen=True)
class Fetch:
    """Begun at ``at``, answered ``later`` by a replica that is ``lag`` behind."""

    at: int
    later: int
    lag: int


@dataclass(frozen=True)
class GitLab:
    edits: tuple[Edit, ...]

    def as_of(self, moment: int) -> tuple[str, int]:
        """Title and ``updated_at``."""
        known = [(number, edit) for number, edit in enumerate(self.edits) if edit.at <= moment]
        number, edit = max(known, key=lambda one: (one[1].at, one[0]))
        return f"edit {number}", edit.updated

    def answers(self, fetch: Fetch, *, project_id: int) -> EntityRecord:
        title, updated = self.as_of(fetch.at + fetch.later - fetch.lag)
        return entity(KEY, updated=updated, fetched=fetch.at, title=title, project_id=project_id)

    @property
    def last_edit(self) -> int:
        return max(edit.at for edit in self.edits)


times = st.integers(0, 400)
histories = st.lists(st.builds(Edit, times, times), max_size=4).map(
    lambda edits: GitLab((Edit(at=-1000, updated=200), *edits))
)
fetches = st.builds(Fetch, times, st.integers(0, 100), st.integers(0, LAG))


@pytest.fixture(scope="module")
def tx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBTransaction]:
    """One window for many examples, each with a project of its own."""
    with DuckDBLedger(tmp_path_factory.mktemp("rest") / "ledger.duckdb").write("all examples") as tx:
        yield tx


def stored(tx: Transaction, project_id: int) -> tuple[str, datetime] | None:
    """Title and ``updated_at``."""
    asked = "SELECT title, updated_at FROM entities WHERE project_id = $id"
    rows = read_sql(tx, asked, id=project_id)
    return rows[0] if rows else None


def after(tx: Transaction, records: list[EntityRecord]) -> tuple[str, datetime] | None:
    """What is stored once the fetches were written in this order; a warning comes with each step back of it."""
    present = max(record.fetched_at for record in records)
    for record in records:
        before = stored(tx, record.project_id)
        for oddities in upsert_entities(tx, "run", [record], present=lambda: present).values():
            assert bool(oddities) == (before is not None and before[1] > record.updated_at)
    return stored(tx, records[0].project_id)


@settings(max_examples=30, deadline=None)
@given(gitlab=histories, overlapping=st.lists(fetches, max_size=6), data=st.data())
def test_a_fetch_begun_two_lags_after_the_last_edit_leaves_gitlabs_state_whatever_is_written_when(
    tx: Transaction, gitlab: GitLab, overlapping: list[Fetch], data: st.DataObject
) -> None:
    project_id = next(_projects)
    last = Fetch(at=max(gitlab.last_edit, 0) + 2 * LAG + 1, later=0, lag=data.draw(st.integers(0, LAG)))
    records = [gitlab.answers(fetch, project_id=project_id) for fetch in [*overlapping, last]]
    title, updated = gitlab.as_of(last.at)
    assert after(tx, data.draw(st.permutations(records))) == (title, at(updated))


@settings(max_examples=25, deadline=None)
@given(
    moments=st.lists(times, min_size=1, max_size=4, unique=True).map(sorted),
    overlapping=st.lists(fetches, max_size=6),
    data=st.data(),
)
def test_where_updated_at_only_grows_one_lag_is_enough(
    tx: Transaction, moments: list[int], overlapping: list[Fetch], data: st.DataObject
) -> None:
    gitlab = GitLab((Edit(-1000, -1000), *(Edit(moment, moment) for moment in moments)))
    project_id = next(_projects)
    last = Fetch(at=gitlab.last_edit + LAG, later=0, lag=data.draw(st.integers(0, LAG)))
    records = [gitlab.answers(fetch, project_id=project_id) for fetch in [*overlapping, last]]
    title, updated = gitlab.as_of(last.at)
    assert after(tx, data.draw(st.permutations(records))) == (title, at(updated))


def test_a_title_of_before_an_edit_that_set_updated_at_back_does_not_stay(tx: Transaction) -> None:
    gitlab = GitLab((Edit(at=-1000, updated=0), Edit(at=50, updated=-500)))
    project_id = next(_projects)
    records = [gitlab.answers(Fetch(moment, later=0, lag=0), project_id=project_id) for moment in (40, 101)]
    assert after(tx, records) == ("edit 1", at(-500))
