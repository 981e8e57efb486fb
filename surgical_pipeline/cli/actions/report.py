"""A report from a terminal: read the ledger, draw the page, write it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from surgical_pipeline.cli.environment import EXIT_FAILED, EXIT_USAGE, existing_ledger, fail, ledger_errors
from surgical_pipeline.cli.terminal import print_page, say
from surgical_pipeline.defs.report import DEFAULT_LAST
from surgical_pipeline.defs.report_page import facts_of
from surgical_pipeline.domain.words import counted, size_in_words
from surgical_pipeline.report.making import make_period_report, make_run_report
from surgical_pipeline.report.page import render
from surgical_pipeline.report.period import PeriodError, in_words, parse_length
from surgical_pipeline.report.values import Report, RunReport
from surgical_pipeline.report.words import status_word
from surgical_pipeline.report.writing import PageRefusedError, write_page
from surgical_pipeline.settings import Settings, SettingsError

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Written:
    path: Path
    size: int


def read_report(run_id: str | None, *, last: str | None) -> Report:
    """The values of a report on one run, or on all runs of the last time.

    Raises:
        typer.Exit: 2 for a time or run that is none, or several; 1 if there is no ledger or it cannot be read.
    """
    try:
        length = parse_length(DEFAULT_LAST if last is None else last)
    except PeriodError as error:
        fail(f"--last: {error}", code=EXIT_USAGE)
    settings = Settings.from_environment()
    ledger = existing_ledger(settings)
    with ledger_errors():
        if run_id is None:
            return make_period_report(ledger, length, facts=facts_of(settings, ledger))
        made = make_run_report(ledger, run_id, gitlab_url=_gitlab_url(settings))
    if made is None:
        fail(f"no run begins with {run_id!r}: see `surgical-pipeline runs list`", code=EXIT_USAGE)
    return made


def write_report(made: Report, html: str | None) -> Written | None:
    """Draw the page and write it; None if it went to stdout.

    Raises:
        typer.Exit: 1 if it cannot be written there.
    """
    page = render(made)
    if html == STDOUT:
        print_page(page)
        return None
    path = Path(html if html is not None else _default_name(made))
    try:
        return Written(path, write_page(path, page))
    except PageRefusedError as error:
        fail(str(error), code=EXIT_FAILED)


def print_made(made: Report, written: Written) -> None:
    if isinstance(made, RunReport):
        about = f"run {made.run.run_id[:8]}, {status_word(made.run.status)}"
    else:
        states = made.states
        about = (
            f"{counted(made.runs, 'run')} of the last {in_words(made.until - made.since)}, "
            f"{states.synced + states.unchanged:,} of {counted(states.entities, 'entity', 'entities')} up to date"
        )
    say(about)
    say(f"{written.path}, {size_in_words(written.size)}")


def _default_name(made: Report) -> str:
    if isinstance(made, RunReport):
        return f"surgical-report-{made.run.run_id[:8]}.html"
    return "surgical-report.html"


def _gitlab_url(settings: Settings) -> str | None:
    """For links only: a wrong setting is reported where it matters."""
    with suppress(SettingsError):
        return settings.gitlab_url
    return None
