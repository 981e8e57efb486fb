"""What a run that continues another takes over from it: the completed stages."""

from collections.abc import Sequence

from surgical_pipeline.domain.lifecycle import STAGES, Phase
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome


def inherited_outcome(outcome: EntityOutcome, *, phase: Phase) -> EntityOutcome:
    """The outcome as it was before ``phase``: that stage and all later ones run again."""
    done = _before(phase)
    if Phase.INGEST not in done:
        return EntityOutcome(entity_type=outcome.entity_type, iid=outcome.iid)
    failure = outcome.failure
    return outcome.model_copy(
        update={
            "failure": failure if failure and failure.stage in done else None,
            "dependent_failures": tuple(one for one in outcome.dependent_failures if one.stage in done),
            "dependents_stale_skipped": outcome.dependents_stale_skipped if Phase.DEPENDENTS in done else (),
            "warnings": tuple(one for one in outcome.warnings if one.stage in done),
            "regenerated_document_ids": outcome.regenerated_document_ids if Phase.DOCS in done else (),
            "embedded_document_ids": (),
        }
    )


def inherited_counters(parent: Counters, outcomes: Sequence[EntityOutcome], *, phase: Phase) -> Counters:
    """The counters that match inherited ``outcomes``; the rest comes from the parent's counters."""
    done = _before(phase)
    dependents_done, docs_done = Phase.DEPENDENTS in done, Phase.DOCS in done
    return Counters(
        requested=len(outcomes),
        fetched=sum(one.fetched for one in outcomes),
        ingested=sum(one.ingested for one in outcomes),
        stale_skipped=sum(one.stale_skipped for one in outcomes),
        tombstoned=sum(one.tombstoned for one in outcomes),
        dependents_replaced=parent.dependents_replaced if dependents_done else 0,
        dependents_stale_skipped=sum(len(one.dependents_stale_skipped) for one in outcomes),
        dependent_failures=sum(len(one.dependent_failures) for one in outcomes),
        documents_regenerated=sum(len(one.regenerated_document_ids) for one in outcomes),
        documents_unchanged=parent.documents_unchanged if docs_done else 0,
        documents_errored=parent.documents_errored if docs_done else 0,
    )


def _before(phase: Phase) -> tuple[Phase, ...]:
    return STAGES[: STAGES.index(phase)]
