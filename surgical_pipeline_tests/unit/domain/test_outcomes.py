from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import (
    SCHEMA_VERSION,
    Counters,
    EntityFailureReport,
    EntityOutcome,
    EntityReport,
    EntityWarning,
    FailureReport,
    HttpStats,
    LockStats,
    SyncResult,
    count_warnings,
    failures_of,
)
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline_tests.unit.results import sync_result

NOT_FOUND = Failure(code=FailureCode.NOT_FOUND, message="gone", stage="preflight")
TIMEOUT = Failure(code=FailureCode.TIMEOUT, message="20 s", stage="dependents", dependent="discussions")
BAD = EntityOutcome(entity_type=EntityType.ISSUE, iid=12, failure=NOT_FOUND)
ODD = EntityWarning(stage="ingest", message="its updated_at went back")
HALF = EntityOutcome(
    entity_type=EntityType.MERGE_REQUEST,
    iid=34,
    fetched=True,
    ingested=True,
    settled=False,
    dependent_failures=(TIMEOUT, TIMEOUT),
    regenerated_document_ids=("merge_request:7:34",),
)


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, False),
        ({"fetched": True}, False),
        ({"failure": NOT_FOUND}, False),
        ({"ingested": True}, True),
        ({"stale_skipped": True}, True),
        ({"tombstoned": True, "failure": NOT_FOUND}, True),
    ],
)
def test_an_outcome_is_usable_when_the_local_copy_is_right(change: dict[str, object], usable: bool) -> None:
    outcome = EntityOutcome.model_validate({"entity_type": "issue", "iid": 1, **change})

    assert outcome.usable is usable


def test_warnings_count_each_failed_entity_each_failed_dependent_and_each_warning() -> None:
    assert count_warnings([BAD, HALF]) == 3
    assert count_warnings([BAD, HALF.model_copy(update={"warnings": (ODD, ODD)})]) == 5
    assert count_warnings([]) == 0


def test_failures_of_an_entity_begin_with_its_own() -> None:
    both = HALF.model_copy(update={"failure": NOT_FOUND})

    assert [entry.failure for entry in failures_of(both)] == [NOT_FOUND, TIMEOUT, TIMEOUT]
    assert {entry.key for entry in failures_of(both)} == {EntityKey(EntityType.MERGE_REQUEST, 34)}


def test_an_outcome_survives_json() -> None:
    assert EntityOutcome.model_validate_json(HALF.model_dump_json()) == HALF


def test_an_outcome_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        BAD.iid = 13  # type: ignore[misc]  # the point of the test


def test_lock_statistics_add_up_but_for_the_longest() -> None:
    one = LockStats(windows=1, wait_ms=2, held_ms=30, longest_held_ms=30)
    two = LockStats(windows=2, wait_ms=1, held_ms=50, longest_held_ms=26)

    assert one + two == LockStats(windows=3, wait_ms=3, held_ms=80, longest_held_ms=30)


def test_statistics_of_a_stage_are_what_came_since_it_began() -> None:
    before = LockStats(windows=1, wait_ms=2, held_ms=30, longest_held_ms=30)
    after = LockStats(windows=3, wait_ms=3, held_ms=80, longest_held_ms=40)

    assert after - before == LockStats(windows=2, wait_ms=1, held_ms=50, longest_held_ms=40)


def test_http_statistics_add_up() -> None:
    one = HttpStats(requests=3, retries=1, rate_limited=1)

    assert one + HttpStats(requests=4) == HttpStats(requests=7, retries=1, rate_limited=1)


def test_a_reported_failure_says_what_to_do_and_whether_to_retry() -> None:
    report = FailureReport.of(TIMEOUT)

    assert report.hint == FailureCode.TIMEOUT.advice
    assert report.retryable
    assert report.dependent == "discussions"


def test_an_entity_is_reported_as_people_write_it() -> None:
    report = EntityReport.of(HALF, "acme/rocket")

    assert report.entity == "acme/rocket!34"
    assert len(report.dependent_failures) == 2
    assert report.failure is None
    assert report.regenerated_document_ids == ("merge_request:7:34",)


def test_the_report_of_an_entity_has_every_field_of_its_outcome() -> None:
    assert set(EntityReport.model_fields) == set(EntityOutcome.model_fields) | {"entity"}


def test_the_result_of_a_run_survives_json() -> None:
    result = sync_result(
        started_at=datetime(2024, 5, 1, tzinfo=UTC),
        finished_at=datetime(2024, 5, 1, 0, 1, tzinfo=UTC),
        duration_ms=60_000,
        warnings_count=3,
        counters=Counters(requested=2),
        entity_outcomes=tuple(EntityReport.of(outcome, "acme/rocket") for outcome in (BAD, HALF)),
        entity_failures=tuple(
            EntityFailureReport(entity="acme/rocket#12", **FailureReport.of(entry.failure).model_dump())
            for entry in failures_of(BAD)
        ),
    )

    assert SyncResult.model_validate_json(result.model_dump_json()) == result
    assert result.schema_version == SCHEMA_VERSION


def test_the_published_fields_of_a_result_are_all_there() -> None:
    published = """schema_version run_id mode completion_status phase project started_at finished_at duration_ms
        warnings_count counters lock http entity_outcomes entity_failures error"""

    assert set(published.split()) <= set(SyncResult.model_fields)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"fetched": True, "ingested": True}, "written"),
        ({"fetched": True, "stale_skipped": True}, "already newer"),
        ({"tombstoned": True}, "tombstoned"),
        ({"fetched": True}, "not written"),
        ({}, "not fetched"),
    ],
)
def test_what_became_of_an_entitys_row_is_told_in_words(change: dict[str, object], word: str) -> None:
    outcome = EntityOutcome(entity_type=EntityType.ISSUE, iid=12).model_copy(update=change)
    assert EntityReport.of(outcome, "acme/rocket").row_word == word


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"ingested": True}, "ok"),
        ({"stale_skipped": True}, "ok"),
        ({"ingested": True, "dependent_failures": (TIMEOUT, TIMEOUT)}, "2 failed"),
        ({"ingested": True, "dependents_stale_skipped": ("links",)}, "1 already newer"),
        (
            {"ingested": True, "dependent_failures": (TIMEOUT,), "dependents_stale_skipped": ("links", "commits")},
            "1 failed, 2 already newer",
        ),
        ({"tombstoned": True}, "-"),
        ({}, "-"),
    ],
)
def test_what_became_of_an_entitys_dependents_is_told_in_words(change: dict[str, object], word: str) -> None:
    outcome = EntityOutcome(entity_type=EntityType.ISSUE, iid=12).model_copy(update=change)
    assert EntityReport.of(outcome, "acme/rocket").dependents_word == word


@pytest.mark.parametrize(
    ("change", "warns"),
    [
        ({}, False),
        ({"dependents_stale_skipped": ("links",)}, False),
        ({"warnings": (ODD,)}, True),
        ({"failure": NOT_FOUND}, True),
        ({"dependent_failures": (TIMEOUT,)}, True),
    ],
)
def test_an_outcome_warns_of_failures_and_warnings_and_not_of_what_was_newer_already(
    change: dict[str, object], warns: bool
) -> None:
    outcome = EntityOutcome(entity_type=EntityType.ISSUE, iid=12, ingested=True).model_copy(update=change)
    assert outcome.has_warning is warns
