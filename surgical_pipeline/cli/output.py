"""How results are printed; with `--json` one JSON document on stdout instead."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Column
from rich.text import Text

from surgical_pipeline.cli.terminal import (
    comment,
    each,
    lines,
    link,
    on_terminal,
    out,
    print_list,
    print_rows,
    say,
    words,
)
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.outcomes import EntityReport, SyncResult
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.domain.web_address import address_of, leads_to
from surgical_pipeline.ledger.invariants import CheckReport
from surgical_pipeline.ledger.runs import RunSummary
from surgical_pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from surgical_pipeline.cli.actions.events import ShownEvent
    from surgical_pipeline.cli.actions.finding import Finding
    from surgical_pipeline.cli.actions.search import ShownHit
    from surgical_pipeline.defs.mirror import Change
    from surgical_pipeline.search.snippets import Snippet

EXIT_CODES = {
    RunStatus.SUCCEEDED: 0,
    RunStatus.SUCCEEDED_WITH_WARNINGS: 3,
    RunStatus.FAILED: 1,
    RunStatus.CANCELLED: 130,
}
_WIDE_ENOUGH = 120
"""Terminal width, in columns, that a table of runs needs for everything."""
_STYLES = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.SUCCEEDED_WITH_WARNINGS: "yellow",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "magenta",
}
_EVENT_STYLES = {"done": "green", "dead": "red"}


def print_result(result: SyncResult) -> None:
    """The outcome of each entity, then the run's own line, lock and HTTP figures."""
    print_entities(result.entity_outcomes, project=result.project.path, gitlab_url=_gitlab_url())
    print_summary(result)


def print_entities(outcomes: Sequence[EntityReport], *, project: str, gitlab_url: str | None) -> None:
    """A row for each; its name links to GitLab if the address is known."""
    columns = [Column(header, no_wrap=True) for header in ("entity", "row", "dependents")]
    columns += [Column(header, justify="right") for header in ("documents", "embedded")]
    rows = []
    for one in outcomes:
        key = EntityKey(one.entity_type, one.iid)
        address = address_of(gitlab_url, project, key) if gitlab_url else None
        rows.append(
            (
                words((one.entity, link(address))),
                words(one.row_word),
                words((one.dependents_word, "yellow" if one.dependent_failures else "")),
                *each((str(len(one.regenerated_document_ids)), str(len(one.embedded_document_ids)))),
                what_to_know(one),
            )
        )
    print_rows([*columns, Column("failures and warnings", overflow="fold")], rows)


def what_to_know(one: EntityReport) -> Text:
    """Failures and warnings, one line each."""
    failures = [*([one.failure] if one.failure else []), *one.dependent_failures]
    told = [
        words(
            (failure.code, "yellow"),
            f" ({failure.dependent})" if failure.dependent else "",
            f" {failure.message}",
        )
        for failure in failures
    ]
    return lines([*told, *(words(("warning", "yellow"), f" {warning.message}") for warning in one.warnings)])


def print_summary(result: SyncResult) -> None:
    style = _STYLES.get(RunStatus(result.completion_status), "")
    seconds = "" if result.duration_ms is None else f" in {result.duration_ms / 1000:.1f} s"
    say()
    say((result.completion_status, style), f"{seconds}, phase {result.phase}, run {result.run_id}")
    if result.error:
        say((result.error.code, "red"), f": {result.error.message}")
        say(result.error.hint)
    counters = result.counters
    say(
        f"documents: {counters.documents_regenerated} written, {counters.documents_unchanged} unchanged; "
        f"embedded: {counters.documents_embedded}, reused: {counters.documents_reused}"
    )
    say(
        f"lock: {result.lock.windows} windows, waited {result.lock.wait_ms:.0f} ms, "
        f"held {result.lock.held_ms:.0f} ms (longest {result.lock.longest_held_ms:.0f} ms); "
        f"HTTP: {result.http.requests} requests, {result.http.retries} retries"
    )


def shown_time(moment: datetime | None) -> str:
    """On a terminal the local time and its zone; into a pipe UTC, as in JSON."""
    if moment is None:
        return ""
    if on_terminal():
        return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def print_runs(runs: Sequence[RunSummary]) -> None:
    """The newest first. A narrow terminal shows less, and the failure below the status."""
    narrow = on_terminal() and out().width < _WIDE_ENOUGH
    shown = [Column("run", no_wrap=True), Column("started", no_wrap=not narrow), Column("status", no_wrap=True)]
    shown += [Column("phase", no_wrap=True), Column("scope", overflow="fold", min_width=12)]
    if not narrow:
        shown[4:4] = [Column("trigger", no_wrap=True)]
        shown += [Column("warnings", justify="right"), Column("failure")]
    print_list(shown, [_run_row(run, narrow=narrow) for run in runs], empty="No runs.")


def _run_row(run: RunSummary, *, narrow: bool) -> list[Text]:
    status, failure = words((run.status, _STYLES.get(run.status, ""))), words(run.failure_code or "")
    first = [*each((shown_run_id(run.run_id), shown_time(run.started_at or run.queued_at)))]
    if narrow:
        return [*first, lines((status, failure) if failure else (status,)), *each((run.phase, run.scope))]
    return [*first, status, *each((run.phase, run.trigger, run.scope, str(run.warnings_count))), failure]


def shown_run_id(run_id: str) -> str:
    """On a terminal its beginning, which is enough for every command; into a pipe the whole id."""
    return run_id[:8] if on_terminal() else run_id


def print_changes(changes: Sequence["Change"]) -> None:
    """What was corrected between ledger and Dagster, in order."""
    columns = [Column("run", no_wrap=True), Column("what", no_wrap=True), Column("why", overflow="fold")]
    rows = [tuple(each((shown_run_id(change.run_id), change.what, change.detail))) for change in changes]
    print_list(columns, rows, empty="The ledger and Dagster agree.")
    if changes:
        comment(f"{len(changes)} changes")


def print_events(events: Sequence["ShownEvent"]) -> None:
    """The latest first."""
    columns = [Column("event", justify="right"), Column("received", no_wrap=True), Column("state", no_wrap=True)]
    columns += [Column("entity", overflow="fold"), Column("kind", no_wrap=True)]
    columns += [Column("attempts", justify="right"), Column("why", overflow="fold")]
    rows = []
    for event in events:
        unwatched = event.state == "pending" and not event.watched
        why = "SURGICAL_PROJECTS does not name its project" if unwatched else event.reason or ""
        state = words((event.state, _EVENT_STYLES.get(event.state, "")))
        first = each((str(event.seq), shown_time(event.received_at)))
        rows.append([*first, state, *each((event.entity, event.kind, str(event.attempts), why))])
    print_list(columns, rows, empty="No events.")


def print_findings(findings: Sequence["Finding"]) -> None:
    """What `doctor` found, and under each what to do about it."""
    rows = []
    for one in findings:
        mark = ("FAIL", "red") if not one.ok else ("warn", "yellow") if one.what_to_do else ("ok", "green")
        found, advice = words(one.found), words((one.what_to_do, "yellow"))
        texts = (lines((found, advice) if advice else (found,)),) if on_terminal() else (found, advice)
        rows.append((words(mark), words(one.check), *texts))
    columns = [Column("", no_wrap=True), Column("check", no_wrap=True), Column("found", overflow="fold")]
    print_rows(columns, rows)


def print_hits(hits: Sequence["ShownHit"]) -> None:
    """Best first; under each title why it was found, with the question's words in bold."""
    columns = [Column("score", justify="right"), Column("entity", no_wrap=True)]
    columns += [Column("title and snippet", overflow="fold"), Column("link", overflow="fold")]
    rows = []
    for shown in hits:
        hit, title, snippet = shown.hit, words(shown.hit.title), snippet_text(shown.snippet)
        key = EntityKey(hit.entity_type, hit.iid)
        safe = hit.web_url if hit.web_url and leads_to(hit.web_url, hit.project_path, key) else None
        address = words((hit.web_url or "", link(safe)))  # whole, even if it wraps
        texts = (lines((title, snippet)),) if on_terminal() else (title, snippet)
        rows.append((words(f"{hit.score:.3f}"), words((hit.entity, link(safe))), *texts, address))
    print_list(columns, rows, empty="Nothing found.")


def snippet_text(snippet: "Snippet") -> Text:
    parts, end = [], 0
    for start, following in snippet.highlights:
        parts += [(snippet.text[end:start], "dim"), (snippet.text[start:following], "bold")]
        end = following
    return words(*parts, (snippet.text[end:], "dim"))


def print_check(report: CheckReport) -> None:
    """A row for each broken rule with some examples: below it on a terminal, after it into a pipe."""
    columns = [Column("rule", no_wrap=True), Column("places", justify="right"), Column("what should be true")]
    rows = [
        (
            words((violation.invariant, "red")),
            words(str(violation.count)),
            lines((words(violation.meaning), *map(words, violation.examples))),
        )
        for violation in report.violations
    ]
    if rows:
        print_rows(columns, rows)
    for superseded in report.superseded_projects:
        say(superseded)
    good = len(report.checked) - len(report.violations)
    say(
        f"{sum(report.rows.values()):,} rows in {len(report.rows)} tables read, schema version "
        f"{report.schema_version}; {good} of {len(report.checked)} rules kept"
    )


def _gitlab_url() -> str | None:
    """For links only: a wrong setting is reported where it matters."""
    try:
        return Settings.from_environment().gitlab_url
    except SettingsError:
        return None
