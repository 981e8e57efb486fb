"""How results look on a terminal; with `--json` one JSON document on stdout instead."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import typer
from pydantic import BaseModel
from pydantic_core import to_json
from rich.console import Console
from rich.markup import escape
from rich.style import Style
from rich.table import Table
from rich.text import Text

from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.outcomes import EntityReport, SyncResult
from surgical_pipeline.ledger.invariants import CheckReport
from surgical_pipeline.ledger.runs import RunSummary
from surgical_pipeline.search.snippets import Snippet

if TYPE_CHECKING:
    from surgical_pipeline.cli.actions.search import ShownHit

EXIT_CODES = {
    RunStatus.SUCCEEDED: 0,
    RunStatus.SUCCEEDED_WITH_WARNINGS: 3,
    RunStatus.FAILED: 1,
    RunStatus.CANCELLED: 130,
}
_STYLES = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.SUCCEEDED_WITH_WARNINGS: "yellow",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "magenta",
}


def out() -> Console:
    """Stdout; wide enough for a table row where it is piped."""
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False, width=None if sys.stdout.isatty() else 140)


def err() -> Console:
    return Console(stderr=True, highlight=False)


def print_json(document: BaseModel | Mapping[str, object] | Sequence[object]) -> None:
    """One document on stdout, UTF-8, indented."""
    typer.echo(to_json(document, indent=2).decode())


def print_result(result: SyncResult) -> None:
    """The outcome of each entity, then the run's own line, lock and HTTP figures."""
    console = out()
    console.print(entity_table(result.entity_outcomes))
    print_summary(result, console)


def entity_table(outcomes: Sequence[EntityReport]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("entity", "row", "dependents"):
        table.add_column(header, no_wrap=True)
    for header in ("documents", "embedded"):
        table.add_column(header, justify="right")
    table.add_column("failures and warnings", overflow="fold")
    for one in outcomes:
        table.add_row(
            one.entity,
            one.row_word,
            f"[yellow]{one.dependents_word}[/]" if one.dependent_failures else one.dependents_word,
            str(len(one.regenerated_document_ids)),
            str(len(one.embedded_document_ids)),
            what_to_know(one),
        )
    return table


def what_to_know(one: EntityReport) -> str:
    """Failures and warnings, a line each."""
    failures = [*([one.failure] if one.failure else []), *one.dependent_failures]
    lines = [
        f"[yellow]{failure.code}[/]"
        + (f" ({escape(failure.dependent)})" if failure.dependent else "")
        + f" {escape(failure.message)}"
        for failure in failures
    ]
    return "\n".join([*lines, *(f"[yellow]warning[/] {escape(warning.message)}" for warning in one.warnings)])


def print_summary(result: SyncResult, console: Console) -> None:
    style = _STYLES.get(RunStatus(result.completion_status), "default")
    seconds = "" if result.duration_ms is None else f" in {result.duration_ms / 1000:.1f} s"
    console.print()
    console.print(f"[{style}]{result.completion_status}[/]{seconds}, phase {result.phase}, run {result.run_id}")
    if result.error:
        console.print(f"[red]{result.error.code}[/]: {escape(result.error.message)}\n{escape(result.error.hint)}")
    counters = result.counters
    console.print(
        f"documents: {counters.documents_regenerated} written, {counters.documents_unchanged} unchanged; "
        f"embedded: {counters.documents_embedded}, reused: {counters.documents_reused}"
    )
    console.print(
        f"lock: {result.lock.windows} windows, waited {result.lock.wait_ms:.0f} ms, "
        f"held {result.lock.held_ms:.0f} ms (longest {result.lock.longest_held_ms:.0f} ms); "
        f"HTTP: {result.http.requests} requests, {result.http.retries} retries"
    )


def local_time(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """The newest first; what matters most to somebody who looks for trouble stands in front."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("run", "started", "status", "phase", "trigger", "scope"):
        table.add_column(header, no_wrap=header != "scope", overflow="fold")
    table.add_column("warnings", justify="right")
    table.add_column("failure")
    for run in runs:
        style = _STYLES.get(run.status, "default")
        table.add_row(
            run.run_id[:8],
            local_time(run.started_at or run.queued_at),
            f"[{style}]{run.status}[/]",
            run.phase,
            run.trigger,
            escape(run.scope),
            str(run.warnings_count),
            run.failure_code or "",
        )
    return table


def hits_table(hits: Sequence["ShownHit"]) -> Table:
    """The best first; under each title why it was found, the question's words in bold."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("score", justify="right")
    table.add_column("entity", no_wrap=True)
    table.add_column("title and snippet", overflow="fold")
    table.add_column("link", overflow="fold")
    for shown in hits:
        hit = shown.hit
        text = Text(f"{hit.title}\n", overflow="fold")
        text.append_text(snippet_text(shown.snippet))
        link = Text(hit.web_url or "", style=Style(link=hit.web_url))  # whole, also where it wraps
        table.add_row(f"{hit.score:.3f}", hit.entity, text, link)
    return table


def print_check(report: CheckReport) -> None:
    console = out()
    for violation in report.violations:
        console.print(f"[red]{violation.invariant}[/]: not so in {violation.count} places: {violation.meaning}")
        for example in violation.examples:
            console.print(f"  {escape(example)}")
    rows = f"{sum(report.rows.values()):,} rows in {len(report.rows)} tables"
    good = len(report.checked) - len(report.violations)
    console.print(
        f"{rows} read, schema version {report.schema_version}; {good} of {len(report.checked)} rules kept"
    )


def snippet_text(snippet: Snippet) -> Text:
    text = Text(snippet.text, style="dim")
    for start, end in snippet.highlights:
        text.stylize("bold not dim", start, end)
    return text
