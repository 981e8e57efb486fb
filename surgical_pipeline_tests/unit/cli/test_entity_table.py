"""Warnings and what was newer already, as the table on a terminal tells them."""

from io import StringIO

from rich.console import Console

from surgical_pipeline.cli.output import entity_table
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityReport, EntityWarning
from surgical_pipeline.domain.scope import EntityType


def table(**values: object) -> str:
    outcome = EntityOutcome(entity_type=EntityType.ISSUE, iid=12, fetched=True, ingested=True)
    report = EntityReport.of(outcome.model_copy(update=values), "acme/rocket")
    console = Console(file=StringIO(), width=400, highlight=False)
    console.print(entity_table([report]))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_warnings_are_shown_as_they_are_below_the_failures() -> None:
    late = Failure(code=FailureCode.TIMEOUT, message="20 s", stage="dependents", dependent="links")
    odd = EntityWarning(stage="ingest", message="its [bold]updated_at[/] went back")
    *_, failed, warned = [
        line.rstrip() for line in table(dependent_failures=(late,), warnings=(odd,)).splitlines()
    ]
    assert failed.endswith("TIMEOUT (links) 20 s")
    assert warned.endswith("warning its [bold]updated_at[/] went back")


def test_dependents_that_were_newer_already_are_counted_and_never_called_ok() -> None:
    assert " 2 already newer " in table(dependents_stale_skipped=("links", "discussions"))
    assert " ok " in table()
