"""The real Dagster job, over real HTTP, into a real DuckDB file and into real PostgreSQL."""

from datetime import UTC, datetime

import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import CONTENT_TABLES, content_of, query

pytestmark = pytest.mark.both_ledgers


def test_named_entities_arrive_with_dependents_documents_and_vectors(sync: Sync, ledger: Ledger) -> None:
    result = sync("acme/rocket#12+13!34")
    assert result.completion_status == "succeeded"
    assert result.phase == "done"
    assert [one.entity for one in result.entity_outcomes] == ["acme/rocket#12", "acme/rocket#13", "acme/rocket!34"]
    assert all(one.fetched and one.ingested and one.failure is None for one in result.entity_outcomes)
    assert query(ledger, "SELECT iid FROM issues ORDER BY iid") == [(12,), (13,)]
    assert query(ledger, "SELECT iid FROM merge_requests") == [(34,)]
    assert query(ledger, "SELECT count(*) > 10 FROM notes") == [(True,)]
    assert query(ledger, "SELECT count(DISTINCT event_type) FROM resource_events") == [(3,)]
    written = {one for outcome in result.entity_outcomes for one in outcome.regenerated_document_ids}
    embedded = {one for outcome in result.entity_outcomes for one in outcome.embedded_document_ids}
    assert len(written) > 3
    assert written == embedded == {row[0] for row in query(ledger, "SELECT document_id FROM documents")}
    assert written == {row[0] for row in query(ledger, "SELECT DISTINCT document_id FROM embeddings")}


def test_same_scope_twice_gives_the_same_bytes_and_no_embedding_work(sync: Sync, ledger: Ledger) -> None:
    first = sync("acme/rocket#12-14!34+35")
    before = content_of(ledger)
    second = sync("acme/rocket#12-14!34+35")
    assert content_of(ledger) == before
    assert first.counters.documents_embedded > 5
    assert second.counters.ingested == 5
    assert second.counters.documents_unchanged == first.counters.documents_regenerated
    assert second.counters.documents_regenerated == second.counters.documents_embedded == 0
    assert second.run_id != first.run_id


def test_rows_outside_the_scope_keep_every_byte(sync: Sync, ledger: Ledger, sandbox: RunningSandbox) -> None:
    sync("acme/rocket#12+14!34")
    before = content_of(ledger, with_run_columns=True)
    for iid in (12, 13, 14):
        sandbox.control.update_issue(iid, title=f"a new title for #{iid}")
    sync("acme/rocket#13")
    after = content_of(ledger, with_run_columns=True)
    for table in set(CONTENT_TABLES) - {"projects"}:
        assert set(before[table]) <= set(after[table]), table
    assert query(ledger, "SELECT title FROM issues WHERE iid = 13") == [("a new title for #13",)]


def test_an_iid_that_does_not_exist_is_named_and_the_others_arrive(sync: Sync) -> None:
    result = sync("acme/rocket#12+9999")
    assert result.completion_status == "succeeded_with_warnings"
    good, missing = result.entity_outcomes
    assert good.ingested
    assert missing.failure is not None
    assert missing.failure.code is FailureCode.NOT_FOUND
    assert not missing.fetched
    assert [one.entity for one in result.entity_failures] == ["acme/rocket#9999"]
    assert result.warnings_count == 1


def test_a_run_of_which_nothing_is_usable_failed(sync: Sync) -> None:
    result = sync("acme/rocket#9998+9999")
    assert result.completion_status == "failed"
    assert result.error is not None
    assert result.error.code is FailureCode.NOT_FOUND
    assert {one.failure.code for one in result.entity_outcomes if one.failure} == {FailureCode.NOT_FOUND}


@pytest.mark.parametrize(
    ("path", "override"),
    [
        ("/api/v4/projects/*/issues", {"project_id": 999}),
        ("/api/v4/projects/*/issues", {"iid": 77}),
        ("/api/v4/projects/*/merge_requests", {"target_project_id": 999}),
    ],
)
def test_project_mismatch_fails_preflight_with_zero_content_writes(
    sync: Sync, ledger: Ledger, sandbox: RunningSandbox, path: str, override: dict[str, int]
) -> None:
    sandbox.control.add_fault(path, override=override)
    result = sync("acme/rocket#12+13!34")
    assert result.completion_status == "failed"
    assert result.phase == "preflight"
    assert result.error is not None
    assert result.error.code is FailureCode.PROJECT_MISMATCH
    assert all(rows == [] for rows in content_of(ledger).values())


def test_a_mismatch_leaves_what_was_there_before(sync: Sync, ledger: Ledger, sandbox: RunningSandbox) -> None:
    sync("acme/rocket#12")
    before = content_of(ledger, with_run_columns=True)
    sandbox.control.add_fault("/api/v4/projects/*/issues", override={"project_id": 999})
    sync("acme/rocket#12")
    assert content_of(ledger, with_run_columns=True) == before


def test_dependent_timeout_records_entity_failure_and_continues(
    sync: Sync, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("/api/v4/projects/*/issues/13/discussions", delay_ms=30_000)
    result = sync("acme/rocket#12-14", budgets=Budgets(entity_timeout_seconds=0.7))
    assert result.completion_status == "succeeded_with_warnings"
    slow = result.entity_outcomes[1]
    assert slow.ingested
    assert [(one.code, one.dependent) for one in slow.dependent_failures] == [(FailureCode.TIMEOUT, "discussions")]
    assert all(not one.dependent_failures for one in result.entity_outcomes if one.iid != 13)
    threads = query(ledger, "SELECT DISTINCT noteable_iid FROM discussions ORDER BY 1")
    assert threads == [(12,), (14,)]


def test_what_the_stage_budget_leaves_undone_is_a_timeout_that_names_the_stage(
    sync: Sync, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("/api/v4/projects/*/issues/*/resource_label_events", delay_ms=30_000)
    result = sync(
        "acme/rocket#1-20", budgets=Budgets(dependents_budget_seconds=1), dependents=(Dependent.LABEL_EVENTS,)
    )
    failures = [failure for one in result.entity_outcomes for failure in one.dependent_failures]
    assert result.completion_status == "succeeded_with_warnings"
    assert {failure.code for failure in failures} == {FailureCode.TIMEOUT}
    assert len(failures) == result.counters.ingested
    assert any("stage dependents" in failure.message for failure in failures)


def test_a_deleted_note_vanishes_from_rows_document_and_vectors(
    sync: Sync, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    sync("acme/rocket#12")
    note = sandbox.control.add_note(12, "An unforgettable remark about marmalade.")
    sync("acme/rocket#12")
    remark = "SELECT count(*) FROM documents WHERE deleted_at IS NULL AND content LIKE '%marmalade%'"
    orphans = (
        "SELECT count(*) FROM embeddings "
        "WHERE document_id NOT IN (SELECT document_id FROM documents WHERE deleted_at IS NULL)"
    )
    assert query(ledger, remark) == [(1,)]
    note_id = note.note["id"]
    sandbox.control.delete_note(note_id)
    sync("acme/rocket#12")
    assert query(ledger, remark) == [(0,)]
    assert query(ledger, f"SELECT count(*) FROM notes WHERE note_id = {note_id}") == [(0,)]
    assert query(ledger, orphans) == [(0,)]


def test_a_second_miss_in_a_row_tombstones_and_a_reappearance_revives(
    sync: Sync, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    live = "SELECT count(*) FROM documents WHERE deleted_at IS NULL AND iid = 12"
    sync("acme/rocket#12+13")
    vectors = f"SELECT count(*) FROM embeddings WHERE document_id IN ({live.replace('count(*)', 'document_id')})"
    documents, embedded = query(ledger, live), query(ledger, vectors)
    sandbox.control.delete_issue(12)
    first = sync("acme/rocket#12+13")
    assert not first.entity_outcomes[0].tombstoned
    assert query(ledger, live) == documents
    second = sync("acme/rocket#12+13")
    assert second.entity_outcomes[0].tombstoned
    assert query(ledger, "SELECT deleted_at IS NOT NULL FROM issues ORDER BY iid") == [(True,), (False,)]
    assert query(ledger, live) == [(0,)]
    assert query(ledger, vectors) == [(0,)]
    sandbox.control.restore_issue(12)
    third = sync("acme/rocket#12+13")
    assert third.completion_status == "succeeded"
    assert query(ledger, live) == documents
    assert len(third.entity_outcomes[0].embedded_document_ids) == documents[0][0]
    assert query(ledger, vectors) == embedded != [(0,)]


def test_an_unauthorized_token_fails_the_run_and_writes_nothing(
    sync: Sync, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", "not-the-token")
    result = sync("acme/rocket#12")
    assert (result.completion_status, result.error and result.error.code) == ("failed", FailureCode.UNAUTHORIZED)
    assert all(rows == [] for rows in content_of(ledger).values())


def test_an_unknown_project_fails_the_run_and_tombstones_nothing(sync: Sync, ledger: Ledger) -> None:
    sync("acme/rocket#12")
    before = content_of(ledger, with_run_columns=True)
    for _ in range(3):
        result = sync("acme/nowhere#12")
        assert result.error is not None
        assert result.error.code is FailureCode.PROJECT_NOT_FOUND
    assert content_of(ledger, with_run_columns=True) == before


def test_a_project_that_goes_while_dependents_are_fetched_fails_the_run_and_tombstones_nothing(
    sync: Sync, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    sync("acme/rocket#12")
    before = content_of(ledger)
    sandbox.control.add_fault("*/discussions", status=404, body='{"message": "404 Project Not Found"}')
    for _ in range(2):
        result = sync("acme/rocket#12")
        assert (result.completion_status, result.phase) == ("failed", "dependents")
        assert result.error is not None
        assert result.error.code is FailureCode.PROJECT_NOT_FOUND
    assert content_of(ledger) == before


def test_an_unreachable_gitlab_fails_the_run_and_writes_nothing(
    sync: Sync, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_URL", "http://127.0.0.1:9")
    result = sync("acme/rocket#12", budgets=Budgets(preflight_budget_seconds=5))
    assert (result.completion_status, result.error and result.error.code) == ("failed", FailureCode.NETWORK_ERROR)
    assert all(rows == [] for rows in content_of(ledger).values())


def test_the_ledger_row_carries_lock_http_and_process_figures(sync: Sync, ledger: Ledger) -> None:
    started = datetime.now(UTC)
    result = sync("acme/rocket#12!34")
    assert result.http.requests == 1 + 2 + 8
    assert result.lock.windows >= 5
    assert 0 < result.lock.longest_held_ms <= result.lock.held_ms
    assert result.started_at is not None
    assert result.finished_at is not None
    assert started <= result.started_at <= result.finished_at
    row = query(ledger, "SELECT trigger, mode, host IS NOT NULL, pid > 0, http_requests FROM sync_runs")
    assert row == [("cli", "surgical", True, True, 11)]
    phases = query(
        ledger,
        "SELECT phase FROM sync_run_phases WHERE finished_at IS NOT NULL ORDER BY started_at",
    )
    assert [phase for (phase,) in phases] == ["preflight", "ingest", "dependents", "docs", "embed"]


def test_no_more_requests_are_in_flight_than_the_run_is_allowed(sync: Sync, sandbox: RunningSandbox) -> None:
    sandbox.control.set_latency(20)
    sync("acme/rocket#1-10", budgets=Budgets(max_requests_in_flight=3))
    assert sandbox.control.requests().max_in_flight == 3


def test_every_dependent_that_gitlab_has_can_be_asked_for(sync: Sync, ledger: Ledger) -> None:
    result = sync("acme/rocket#1-40!20-40", dependents=tuple(Dependent))
    assert not [failure for one in result.entity_outcomes for failure in one.dependent_failures]
    content = content_of(ledger)
    assert [table for table in CONTENT_TABLES if not content[table]] == []


def test_unchanged_code_of_a_merge_request_is_not_fetched_again(sync: Sync, sandbox: RunningSandbox) -> None:
    code = (Dependent.COMMITS, Dependent.DIFFS)
    sync("acme/rocket!34", dependents=code)
    again = sync("acme/rocket!34", dependents=code)
    assert again.http.requests == 2
    sandbox.control.update_merge_request(34, sha="f" * 40)
    changed = sync("acme/rocket!34", dependents=code)
    assert changed.http.requests == 4


def test_a_setting_that_is_missing_where_dagster_runs_ends_the_run_in_the_ledger(
    sync: Sync, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITLAB_URL")
    result = sync("acme/rocket#12")
    assert (result.completion_status, result.phase) == ("failed", "preflight")
    assert result.error is not None
    assert result.error.code is FailureCode.NETWORK_ERROR
    assert "GITLAB_URL" in result.error.message
    assert all(rows == [] for rows in content_of(ledger).values())


def test_a_dead_embedder_is_a_warning_and_the_next_run_makes_it_good(
    sync: Sync, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_EMBEDDER", "http")
    monkeypatch.setenv("SURGICAL_EMBEDDER_URL", "http://127.0.0.1:9/v1/embeddings")
    monkeypatch.setenv("SURGICAL_EMBEDDER_MODEL", "nobody-home")
    dead = sync("acme/rocket#12")
    assert dead.completion_status == "succeeded_with_warnings"
    assert {one.code for one in dead.entity_failures} == {FailureCode.EMBEDDER_ERROR}
    written = dead.entity_outcomes[0].regenerated_document_ids
    assert sorted(str(one.dependent) for one in dead.entity_failures) == sorted(written)
    monkeypatch.delenv("SURGICAL_EMBEDDER")
    again = sync("acme/rocket#12")
    assert again.completion_status == "succeeded"
    assert again.counters.documents_embedded == dead.counters.documents_regenerated > 0
    assert query(
        ledger, "SELECT count(*) FROM documents WHERE document_id NOT IN (SELECT document_id FROM embeddings)"
    ) == [(0,)]
