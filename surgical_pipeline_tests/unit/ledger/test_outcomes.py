import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.ledger.outcomes import with_run_failure

RUN = Failure(code=FailureCode.WORKER_LOST, message="gone", stage="embed")
OWN = Failure(code=FailureCode.NOT_FOUND, message="no such issue", stage="preflight")
PENDING = EntityOutcome(entity_type=EntityType.ISSUE, iid=1)
INGESTED = PENDING.model_copy(update={"ingested": True})
EMBEDDED = INGESTED.model_copy(
    update={
        "regenerated_document_ids": ("a", "b"),
        "embedded_document_ids": ("b", "a"),
        "dependent_failures": (OWN,),
    }
)
HALF_EMBEDDED = EMBEDDED.model_copy(update={"embedded_document_ids": ("a",)})


def ended(outcome: EntityOutcome, phase: Phase) -> EntityOutcome:
    (result,) = with_run_failure([outcome], RUN, phase=phase)
    return result


@pytest.mark.parametrize("outcome", [PENDING, INGESTED, EMBEDDED, HALF_EMBEDDED])
@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.PREFLIGHT, Phase.INGEST, Phase.DEPENDENTS, Phase.DOCS])
def test_before_the_last_stage_no_entity_is_complete(outcome: EntityOutcome, phase: Phase) -> None:
    assert ended(outcome, phase) == outcome.model_copy(update={"failure": RUN})


@pytest.mark.parametrize("outcome", [INGESTED, EMBEDDED])
def test_in_the_last_stage_an_entity_with_all_its_vectors_is_complete(outcome: EntityOutcome) -> None:
    assert ended(outcome, Phase.EMBED) == outcome


@pytest.mark.parametrize("outcome", [PENDING, HALF_EMBEDDED])
def test_in_the_last_stage_what_lacks_something_fails_with_the_run(outcome: EntityOutcome) -> None:
    assert ended(outcome, Phase.EMBED).failure == RUN


def test_an_entity_keeps_the_failure_of_its_own() -> None:
    failed = PENDING.model_copy(update={"failure": OWN})
    assert ended(failed, Phase.EMBED) == failed
