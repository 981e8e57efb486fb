import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.inheritance import inherited_counters, inherited_outcome
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, EntityWarning
from surgical_pipeline.domain.scope import EntityType


def failure(stage: str, code: FailureCode = FailureCode.SERVER_ERROR) -> Failure:
    return Failure(code=code, message="it failed", stage=stage)


WHOLE = EntityOutcome(
    entity_type=EntityType.ISSUE,
    iid=12,
    fetched=True,
    ingested=True,
    settled=True,
    dependent_failures=(failure("dependents"), failure("embed")),
    regenerated_document_ids=("a", "b"),
    embedded_document_ids=("a",),
)


def whole_but(**change: object) -> EntityOutcome:
    """The whole outcome without its vectors, and with this changed."""
    return WHOLE.model_copy(update={"embedded_document_ids": (), **change})


@pytest.mark.parametrize(
    ("phase", "kept"),
    [
        (Phase.INGEST, EntityOutcome(entity_type=EntityType.ISSUE, iid=12)),
        (Phase.DEPENDENTS, whole_but(dependent_failures=(), regenerated_document_ids=())),
        (Phase.DOCS, whole_but(dependent_failures=(failure("dependents"),), regenerated_document_ids=())),
        (Phase.EMBED, whole_but(dependent_failures=(failure("dependents"),))),
    ],
)
def test_what_earlier_stages_achieved_is_kept_and_the_rest_is_open_again(
    phase: Phase, kept: EntityOutcome
) -> None:
    assert inherited_outcome(WHOLE, phase=phase) == kept


def test_a_failure_of_the_stage_that_runs_again_is_forgotten_and_an_earlier_one_stays() -> None:
    missing = EntityOutcome(entity_type=EntityType.ISSUE, iid=1, failure=failure("preflight"))
    stopped = WHOLE.model_copy(update={"failure": failure("docs", FailureCode.WORKER_LOST)})
    assert inherited_outcome(missing, phase=Phase.DOCS).failure == failure("preflight")
    assert inherited_outcome(stopped, phase=Phase.DOCS).failure is None
    assert inherited_outcome(stopped, phase=Phase.EMBED).failure == stopped.failure


def test_inherited_counters_fit_the_inherited_outcomes() -> None:
    parent = Counters(
        requested=9, fetched=9, dependents_replaced=4, documents_unchanged=3, documents_errored=1, failed=2
    )
    outcomes = [inherited_outcome(WHOLE, phase=Phase.EMBED), EntityOutcome(entity_type=EntityType.ISSUE, iid=2)]
    assert inherited_counters(parent, outcomes, phase=Phase.EMBED) == Counters(
        requested=2,
        fetched=1,
        ingested=1,
        dependents_replaced=4,
        dependent_failures=1,
        documents_regenerated=2,
        documents_unchanged=3,
        documents_errored=1,
    )
    assert inherited_counters(parent, outcomes, phase=Phase.DEPENDENTS).dependents_replaced == 0


def test_warnings_and_stale_dependents_of_the_stages_that_run_again_are_forgotten() -> None:
    early, late = (EntityWarning(stage=stage, message="odd") for stage in ("ingest", "dependents"))
    told = WHOLE.model_copy(update={"warnings": (early, late), "dependents_stale_skipped": ("links",)})
    again, later = (inherited_outcome(told, phase=phase) for phase in (Phase.DEPENDENTS, Phase.DOCS))
    assert (again.warnings, again.dependents_stale_skipped) == ((early,), ())
    assert (later.warnings, later.dependents_stale_skipped) == ((early, late), ("links",))
    assert inherited_counters(Counters(), [later], phase=Phase.DOCS).dependents_stale_skipped == 1
