from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.outcomes import failure_rows
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.integration.ledger.examples import start

OWN = Failure(code=FailureCode.INVALID_PAYLOAD, message="a login page: 'ü'", stage="preflight", dependent=None)
LATE = Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent="discussions")
REFUSED = Failure(code=FailureCode.FORBIDDEN, message="no", stage="dependents", dependent="links")
UNEMBEDDED = Failure(code=FailureCode.EMBEDDER_ERROR, message="no model", stage="embed")

FULL = EntityOutcome(
    entity_type=EntityType.ISSUE,
    iid=1,
    fetched=True,
    ingested=True,
    stale_skipped=True,
    tombstoned=True,
    settled=False,
    moved_to_id=42,
    failure=OWN,
    dependent_failures=(LATE, REFUSED, UNEMBEDDED),
    regenerated_document_ids=("a", "b, c"),
    embedded_document_ids=("b, c",),
)
BARE = EntityOutcome(entity_type=EntityType.MERGE_REQUEST, iid=3)


def test_outcomes_come_back_as_they_were_saved(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1", "acme/rocket#1!3")
    with recorder.window("save") as tx:
        recorder.save_outcomes(tx, [BARE, FULL])
        assert recorder.outcomes(tx) == [FULL, BARE]
    assert recorder.outcomes() == [FULL, BARE]


def test_saving_replaces_an_outcome_and_its_failures_whole(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1", "acme/rocket#1+2!3")
    second = FULL.model_copy(update={"iid": 2})
    better = EntityOutcome(entity_type=EntityType.ISSUE, iid=1, ingested=True, dependent_failures=(REFUSED,))
    with recorder.window("save") as tx:
        recorder.save_outcomes(tx, [FULL, second])
        recorder.save_outcomes(tx, [FULL, better])
        recorder.save_outcomes(tx, [])
    assert recorder.outcomes() == [better, second, BARE]
    with ledger.read() as tx:
        failures = failure_rows(tx, "run-1")
    assert [(row["iid"], row["position"], row["code"], row["retryable"]) for row in failures] == [
        (1, 1, "FORBIDDEN", False),
        (2, 0, "INVALID_PAYLOAD", False),
        (2, 1, "TIMEOUT", True),
        (2, 2, "FORBIDDEN", False),
        (2, 3, "EMBEDDER_ERROR", True),
    ]
    assert {(row["project_id"], row["project_path"]) for row in failures} == {(7, "acme/rocket")}


def test_outcomes_of_two_runs_stay_apart(ledger: Ledger) -> None:
    first, second = start(ledger, "run-1", "acme/rocket#1"), start(ledger, "run-2", "acme/rocket#1")
    with first.window("save") as tx:
        first.save_outcomes(tx, [FULL])
    assert first.outcomes() == [FULL]
    assert second.outcomes() == [EntityOutcome(entity_type=EntityType.ISSUE, iid=1)]


def test_outcomes_can_be_had_of_some_entities_alone_with_their_failures(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1", "acme/rocket#1+2!3")
    second = FULL.model_copy(update={"iid": 2})
    with recorder.window("save") as tx:
        recorder.save_outcomes(tx, [FULL, second])
        assert recorder.outcomes(tx, keys=[BARE.key, FULL.key]) == [FULL, BARE]
        assert recorder.outcomes(tx, keys=[EntityKey(EntityType.MERGE_REQUEST, 1)]) == []
        assert recorder.outcomes(tx, keys=[]) == []
