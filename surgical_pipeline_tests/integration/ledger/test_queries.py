"""One run's whole story, and beside it what others do to the ledger: together they use every query there is."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import duckdb
import pytest

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.listing import ListedEntity
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, HttpStats
from surgical_pipeline.domain.pruning import PruneWish
from surgical_pipeline.domain.scope import EntityType, Scope
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.backfills import RunOf, load_last_failures, load_progress
from surgical_pipeline.ledger.backlog import count_backlog, find_project, load_backlog, prune_other_models
from surgical_pipeline.ledger.belonging import claim, rebase
from surgical_pipeline.ledger.checks import (
    documents_without_current_embedding,
    duplicate_documents,
    orphan_vectors,
    rows_outside_scope,
    what_is_checked,
)
from surgical_pipeline.ledger.content import record_misses, upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import code_versions, replace_dependents, source_versions
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.duckdb import transaction
from surgical_pipeline.ledger.duckdb.maintenance import compact
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.embeddings import (
    DocumentVectors,
    fitting,
    load_candidates,
    vectors_of_same_texts,
    write_vectors,
)
from surgical_pipeline.ledger.events import (
    count_events,
    drop_events,
    list_events,
    pending_projects,
    retry_events,
    waiting_entities,
)
from surgical_pipeline.ledger.inbox import insert_events, load_deliveries, record_deliveries
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.known import known_entities, known_projects
from surgical_pipeline.ledger.polling import count_announced, load_standings, load_watched_projects
from surgical_pipeline.ledger.postgres import pacing as postgres_pacing
from surgical_pipeline.ledger.postgres import schema as postgres_schema
from surgical_pipeline.ledger.postgres import transaction as postgres_transaction
from surgical_pipeline.ledger.postgres import windows as postgres_windows
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.pruning import prune_ledger, run_statuses
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.row_counts import count_rows
from surgical_pipeline.ledger.runs import (
    find_run,
    list_open_runs,
    list_runs,
    load_result,
    mark_of,
    queue_run,
    set_dagster_status,
    went_back,
)
from surgical_pipeline.ledger.search import Filters, QuestionVector, count_searchable, list_projects, search
from surgical_pipeline.ledger.settling import due_entities
from surgical_pipeline.ledger.standing import read_standing
from surgical_pipeline.ledger.unchanged import find_unchanged
from surgical_pipeline.metrics.reading import parts
from surgical_pipeline.report.period import Period
from surgical_pipeline.report.reading import LedgerFacts, read_period
from surgical_pipeline.search.question import Question
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    PROJECT,
    HandClock,
    at,
    discussion,
    discussions,
    document,
    entity,
    events,
    issue,
    issue_event,
    linked,
    merge_request,
    note,
    run_sql,
    start,
)
from surgical_pipeline_tests.integration.ledger.inbox import fetch, receive, take
from surgical_pipeline_tests.newer_schema import KNOWN, expansion, newer

WITH_PGVECTOR = set(postgres_transaction.BY_PGVECTOR.values())
"""Run in `postgres/test_pgvector.py`: most servers lack the extension."""
SCOPE = Scope.parse("acme/rocket#1+2!3")
KEYS = tuple(SCOPE.keys())


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the queries that are run; they still run as always."""
    names: set[str] = set()

    def note(module: object, attribute: str) -> None:
        real = getattr(module, attribute)

        def noted(name: str) -> object:
            names.add(name)
            return real(name)

        monkeypatch.setattr(module, attribute, noted)

    real = transaction._parsed

    def parsed(connection: duckdb.DuckDBPyConnection, name: str) -> duckdb.Statement:
        names.add(name)
        return real(connection, name)

    monkeypatch.setattr(transaction, "_parsed", parsed)  # the texts are read once for all tests
    note(sql, "query")
    note(transaction, "query")
    for module in (postgres_transaction, postgres_schema, postgres_pacing):
        note(module, "statement")
    for module in (postgres_windows, postgres_schema, postgres_transaction, postgres_pacing):
        note(module, "bare")
    return names


def test_one_story_runs_every_named_query(
    new_ledger: Ledger, clock: HandClock, asked_for: set[str], backend: str
) -> None:
    ledger = new_ledger
    tell_the_story(ledger, clock)
    if isinstance(ledger, DuckDBLedger):
        compact(ledger)
    else:
        use_what_postgres_alone_has(ledger)
    expand(ledger)
    assert sorted(asked_for) == sorted(sql.queries(backend).keys() - WITH_PGVECTOR)


def test_the_same_story_can_be_told_once_a_newer_program_has_expanded_the_ledger(
    new_ledger: Ledger, clock: HandClock
) -> None:
    expand(new_ledger)
    tell_the_story(new_ledger, clock)


def expand(ledger: Ledger) -> None:
    with newer(ledger, expansion()).write("migrate"):
        pass
    with ledger.read() as tx:
        assert tx.column("read_oldest_program") == [KNOWN]


def tell_the_story(ledger: Ledger, clock: HandClock) -> None:
    announce(ledger)
    recorder = SyncRunRecorder(ledger, "run-1", clock=clock)
    recorder.start_surgical(SCOPE, mode=RunMode.SURGICAL, trigger=Trigger.CLI)
    recorder.set_mode(RunMode.BACKFILL)
    ingest(recorder)
    replace_all_dependents(recorder)
    write_and_embed(recorder)
    clock.advance(20)
    assert recorder.heartbeat_if_due()
    fail_and_recover(recorder)
    recorder.count_requests(HttpStats(requests=5))
    assert recorder.finish_succeeded_with_warnings()
    lose_an_issue_and_a_merge_request(ledger)
    lose_a_link(ledger)
    with ledger.write("inbox") as tx:
        assert insert_events(tx, [issue_event("delivery-1", 1)]) == 1
    with ledger.read() as tx:
        assert [run.run_id for run in list_runs(tx, limit=2)] == ["run-1", "run-2"]
        assert [run.run_id for run in list_open_runs(tx, and_also=["run-1"])] == ["run-1", "run-2", "run-3"]
        found = find_run(tx, "run-1")
        assert found is not None
        assert found.dagster_status == "STARTED"
        result = load_result(tx, "run-1")
        assert result is not None
        assert rows_outside_scope(tx, "run-1").ok
        assert not rows_outside_scope(tx, "run-2").ok
        assert what_is_checked(tx, "run-1").regenerated_documents == 3
        assert count_rows(tx)["issues"] == 1
        assert documents_without_current_embedding(tx, "run-1", MODEL) == []
        assert (orphan_vectors(tx), duplicate_documents(tx)) == ({}, [])
        check(tx)
        assert tx.column("list_migrations")[:KNOWN] == [one.version for one in sql.migrations()]
        poll(tx)
        runs = [RunOf("run-1", PROJECT.path), RunOf("run-2", PROJECT.path)]
        assert load_progress(tx, runs, entities=3).waiting < 3
        assert load_last_failures(tx, runs) == []
    with ledger.write("name of a copy") as tx:
        for row in tx.rows("list_migrations"):
            tx.execute("set_migration_time", **row)
    use_the_inbox(ledger)
    count_deliveries(ledger)
    look_at_its_standing(ledger)
    delete_what_is_old(ledger)
    report(ledger)
    watch(ledger)


def look_at_its_standing(ledger: Ledger) -> None:
    with ledger.read() as tx:
        standing = read_standing(tx)
        assert standing.runs == len(tx.arrow("SELECT run_id FROM runs", {}))
        assert tx.rows("load_newest_vector")[0]["model"] == MODEL


def use_what_postgres_alone_has(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.write("in vain") as tx:
        assert tx.column("measure_ledger")[0] > 0
        raise ZeroDivisionError
    assert isinstance(ledger, PostgresLedger)
    with closing(postgres_pacing.RequestPacing(ledger.address)) as pacing:
        times, now = pacing.look("a")
        assert times[0] < now


def report(ledger: Ledger) -> None:
    facts = LedgerFacts("there", gitlab_url=None, model=MODEL, file_bytes=None)
    with ledger.read() as tx:
        made = read_period(tx, Period(at(-3600), at(3600)), facts=facts, made_at=at(3600))
    assert made.runs == 5


def watch(ledger: Ledger) -> None:
    for part in parts((), MODEL):
        with ledger.read() as tx:
            assert part(tx)


def count_deliveries(ledger: Ledger) -> None:
    counted = DeliveryCounts(accepted=2, refused_secret=7, last_refused_secret_at=at(5))
    with ledger.write("inbox") as tx:
        record_deliveries(tx, "one", counted)
    with ledger.read() as tx:
        assert load_deliveries(tx) == counted


def delete_what_is_old(ledger: Ledger) -> None:
    again = take(ledger, "run-6", "7#9", clock=HandClock(at(502)))
    fetch(again, issue(9), fetched=2, updated=0)
    again.finish_succeeded()
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE sync_runs SET dagster_instance = 'here'")
        assert drop_events(tx, [11], now=at(9)) == [11]
        assert run_statuses(tx, ["run-4", "run-9"]) == {"run-4": RunStatus.FAILED}
    for dry_run in (True, False):
        wish = PruneWish(before=at(9999), dry_run=dry_run)
        done = prune_ledger(ledger, wish, instance="here", still_known=lambda _ids: ())
        assert (done.runs, done.events) == (1, 1)


def poll(tx: Transaction) -> None:
    row = ListedEntity(PROJECT.project_id, PROJECT.path, issue(1), at(-100))
    assert load_standings(tx, [row], ahead=timedelta())[row.identity].updated_at == at(-100)
    assert not went_back(tx, mark_of(tx))
    assert len(load_watched_projects(tx)) == 1
    assert count_announced(tx, [PROJECT.project_id], since=at(-100), until=at(9), ahead=timedelta()).told == 1


def fail_and_recover(recorder: SyncRunRecorder) -> None:
    """An outcome with a failure is replaced by one without."""
    known = recorder.outcomes()[0]
    failure = Failure(code=FailureCode.TIMEOUT, message="late", stage="dependents", dependent="discussions")
    for failures in ((failure,), ()):
        with recorder.window("outcomes") as tx:
            recorder.save_outcomes(tx, [known.model_copy(update={"dependent_failures": failures})])


def use_the_inbox(ledger: Ledger) -> None:
    receive(ledger, issue(1), seq=11)
    receive(ledger, issue(9), seq=12)
    run = take(ledger, "run-4", "7#1", upto=11, clock=HandClock(at(500)))
    run.set_project(PROJECT.project_id, PROJECT.path)
    with ledger.read() as tx:
        assert issue(9) in [one.key for one in waiting_entities(tx, pending_projects(tx))]
        assert not went_back(tx, mark_of(tx))
    run.finish_failed(Failure(code=FailureCode.SERVER_ERROR, message="500", stage="preflight"))
    fetch(take(ledger, "run-5", "7#9", clock=HandClock(at(500))), issue(9), fetched=1, updated=0)
    with ledger.write("events") as tx:
        assert [one.seq for one in list_events(tx, limit=2)] == [12, 11]
        assert sum(count_events(tx).values()) == 3
        assert (drop_events(tx, [11], now=at(9)), retry_events(tx, [11])) == ([11], [11])
    SyncRunRecorder(ledger, "run-5", clock=HandClock(at(501))).finish_succeeded()
    with ledger.read() as tx:
        assert issue(9) in [one.key for one in due_entities(tx, now=at(9999))]


def announce(ledger: Ledger) -> None:
    with ledger.write("queue") as tx:
        assert queue_run(
            tx,
            "run-1",
            scope=SCOPE,
            mode=RunMode.SURGICAL,
            trigger=Trigger.CLI,
            queued_at=at(-5),
            parent_run_id="run-0",
        )
        assert set_dagster_status(tx, "run-1", "STARTED")


def ingest(recorder: SyncRunRecorder) -> None:
    with recorder.window("ingest") as tx:
        recorder.set_project(PROJECT.project_id, PROJECT.path, tx)
        recorder.set_phase(Phase.INGEST, tx)
        assert claim(tx, recorder.run_id, replace(PROJECT, gitlab_url="https://a.test")) is None
        assert rebase(tx, "https://b.test") == "https://a.test"
        assert upsert_project(tx, recorder.run_id, PROJECT, at(0)) == {}
        assert upsert_entities(tx, recorder.run_id, [entity(key, updated=-100) for key in KEYS]).keys() == set(
            KEYS
        )
        recorder.set_counters(Counters(requested=3), tx)
        recorder.add_counters(tx, ingested=3)


def replace_all_dependents(recorder: SyncRunRecorder) -> None:
    sets = [discussions(key, discussion(f"d{key.iid}", note(key.iid))) for key in KEYS]
    sets += [events(issue(1), dependent, [1, 2]) for dependent in EVENT_DEPENDENTS]
    for dependent in set(Dependent) - EVENT_DEPENDENTS - {Dependent.DISCUSSIONS}:
        key = issue(1) if EntityType.ISSUE in dependent.applies_to else merge_request(3)
        sets.append(linked(key, dependent, ["a", "b"], version="v1"))
    with recorder.window("dependents") as tx:
        recorder.set_phase(Phase.DEPENDENTS, tx)
        done = replace_dependents(tx, recorder.run_id, PROJECT.project_id, sets)
        assert done.replaced == {(one.key, one.dependent) for one in sets}
        assert source_versions(tx, PROJECT.project_id, KEYS)[merge_request(3), Dependent.COMMITS] == "v1"
        assert code_versions(tx, PROJECT.project_id, KEYS).keys() <= {merge_request(3)}
        same = [entity(key, updated=-100) for key in KEYS]  # settled
        assert (known_projects(tx)[0].path, known_entities(tx, PROJECT.project_id)) == (PROJECT.path, list(KEYS))
        assert find_unchanged(tx, same, dependents=[Dependent.DISCUSSIONS], present=None).keys() == set(KEYS)


def write_and_embed(recorder: SyncRunRecorder) -> None:
    with recorder.window("docs") as tx:
        recorder.set_phase(Phase.DOCS, tx)
        sources = load_sources(tx, PROJECT.project_id, KEYS)
        made = {source.key: document(f"doc{source.key}", source.key) for source in sources}
        batch = [EntityDocuments(source.key, source.version, (made[source.key],)) for source in sources]
        assert write_documents(tx, recorder.run_id, PROJECT.project_id, batch) == frozenset()
        again = [EntityDocuments(source.key, source.version, (), (made[source.key],)) for source in sources]
        assert write_documents(tx, recorder.run_id, PROJECT.project_id, again) == frozenset()
        gone = [EntityDocuments(merge_request(3), sources[2].version, ())]
        assert write_documents(tx, recorder.run_id, PROJECT.project_id, gone) == frozenset()
    with recorder.window("embed") as tx:
        recorder.set_phase(Phase.EMBED, tx)
        versions = [one.version for one in made.values()]
        assert fitting(tx, versions, max_characters=99) == versions
        candidates = load_candidates(tx, versions, MODEL)
        assert [one.document_id for one in candidates] == ["doc#1", "doc#2"]
        assert vectors_of_same_texts(tx, candidates, MODEL) == []
        vectors = [
            DocumentVectors(one.document_id, one.content_hash, MODEL, 2, ((0.6, 0.8),)) for one in candidates
        ]
        assert write_vectors(tx, recorder.run_id, vectors) == {"doc#1", "doc#2"}
        assert count_backlog(tx, MODEL, None) == 0
        assert count_backlog(tx, "another", find_project(tx, "acme/rocket")) == 2
        assert len(load_backlog(tx, "another", project_id=None, after="", limit=9)) == 2
        write_vectors(tx, "an old run", [replace(vectors[0], model="another")])
        assert prune_other_models(tx, MODEL, project_id=None, limit=9) == 1
        asked = Question.of("text of acme/rocket#1")
        vector = QuestionVector(MODEL, (1, 0))
        assert len(search(tx, asked, vector=vector, filters=Filters(), limit=9)) == 2
        assert count_searchable(tx, MODEL) == (2, 2)
        assert list_projects(tx) == [PROJECT.path]
        late = Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent="discussions")
        done = [
            EntityOutcome(
                entity_type=outcome.entity_type,
                iid=outcome.iid,
                ingested=True,
                dependent_failures=(late,),
                regenerated_document_ids=(f"doc{outcome.key}",),
            )
            for outcome in recorder.outcomes(tx)
        ]
        recorder.save_outcomes(tx, done)


def lose_a_link(ledger: Ledger) -> None:
    """Of an issue that the first run had in its scope, another run has not."""
    with ledger.write("lose") as tx:
        run_sql(tx, "DELETE FROM linked_records WHERE dependent = 'links' AND record_id = 'a'")


def lose_an_issue_and_a_merge_request(ledger: Ledger) -> None:
    lost = [issue(2), merge_request(3)]
    for number in (2, 3):
        other = start(ledger, f"run-{number}", "acme/rocket#2!3", HandClock(at(-number)))
        with other.window("ingest") as tx:
            of_a_lagging_replica = [entity(key, updated=-150, fetched=150) for key in lost]
            assert upsert_entities(tx, other.run_id, of_a_lagging_replica).keys() == frozenset()
            misses = record_misses(tx, other.run_id, PROJECT.project_id, lost, missed_at=at(200 + number))
        assert misses.tombstoned == (set(lost) if number == 3 else set())
