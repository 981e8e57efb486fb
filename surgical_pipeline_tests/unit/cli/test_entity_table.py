"""Warnings and what was newer already, as the table on a terminal tells them."""

from surgical_pipeline.cli.output import what_to_know
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityReport, EntityWarning
from surgical_pipeline.domain.scope import EntityType


def report(**values: object) -> EntityReport:
    outcome = EntityOutcome(entity_type=EntityType.ISSUE, iid=12, fetched=True, ingested=True)
    return EntityReport.of(outcome.model_copy(update=values), "acme/rocket")


def test_warnings_are_shown_as_they_are_below_the_failures() -> None:
    late = Failure(code=FailureCode.TIMEOUT, message="20 s", stage="dependents", dependent="links")
    odd = EntityWarning(stage="ingest", message="its [bold]updated_at[/] went back")
    told = what_to_know(report(dependent_failures=(late,), warnings=(odd,))).plain
    assert told.splitlines() == ["TIMEOUT (links) 20 s", "warning its [bold]updated_at[/] went back"]


def test_dependents_that_were_newer_already_are_counted_and_never_called_ok() -> None:
    assert report(dependents_stale_skipped=("links", "discussions")).dependents_word == "2 already newer"
    assert report().dependents_word == "ok"
