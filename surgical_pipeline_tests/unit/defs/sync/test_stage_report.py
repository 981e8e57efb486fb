from surgical_pipeline.defs.sync.stage_report import figures_by_output, figures_of
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityReport
from surgical_pipeline.domain.scope import EntityType

ISSUE, MERGE_REQUEST = EntityType.ISSUE, EntityType.MERGE_REQUEST


def outcome(iid: int, kind: EntityType = ISSUE, **values: object) -> EntityOutcome:
    return EntityOutcome(entity_type=kind, iid=iid).model_copy(update=values)


def failure(dependent: str | None = None) -> Failure:
    return Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent=dependent)


OUTCOMES = [
    outcome(1, ingested=True, dependent_failures=(failure("discussions"),)),
    outcome(2, stale_skipped=True, dependents_stale_skipped=("label_events",)),
    outcome(3, failure=failure()),
    outcome(4, tombstoned=True),
    outcome(5, ingested=True, unchanged=True),
    outcome(34, MERGE_REQUEST, ingested=True, regenerated_document_ids=("a", "b")),
]


def test_each_assets_figures_are_its_own() -> None:
    figures = figures_of(Phase.INGEST, OUTCOMES)
    issues, merge_requests = figures["issues"], figures["merge_requests"]
    assert issues == {
        "requested": 5,
        "written": 2,
        "already_newer": 1,
        "tombstoned": 1,
        "unchanged": 1,
        "failed": 1,
    }
    assert (merge_requests["requested"], merge_requests["written"]) == (1, 1)


def test_dependents_count_entities_that_were_asked_for_theirs() -> None:
    figures = figures_of(Phase.DEPENDENTS, OUTCOMES)
    assert figures["discussions"] == {"entities": 3, "failed": 1, "already_newer": 0}
    assert figures["resource_events"] == {"entities": 3, "failed": 0, "already_newer": 1}


def test_documents_are_counted_by_the_docs_stage() -> None:
    assert figures_of(Phase.DOCS, OUTCOMES) == {"documents": {"documents_regenerated": 2}}


def test_a_run_that_is_over_has_the_figures_that_its_stages_had() -> None:
    reports = [EntityReport.of(one, "acme/rocket") for one in OUTCOMES]
    assert figures_by_output(reports) == {
        **figures_of(Phase.INGEST, OUTCOMES),
        **figures_of(Phase.DEPENDENTS, OUTCOMES),
        **figures_of(Phase.DOCS, OUTCOMES),
    }
