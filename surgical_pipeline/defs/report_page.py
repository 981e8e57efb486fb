"""What the asset `report` does: read the ledger in one window, draw the page, write it, and tell figures of it."""

from contextlib import suppress
from pathlib import Path

import dagster as dg

from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.opening import LedgerFiles
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.report.making import make_period_report
from surgical_pipeline.report.page import render
from surgical_pipeline.report.period import PeriodError, parse_length
from surgical_pipeline.report.reading import LedgerFacts
from surgical_pipeline.report.values import PeriodReport
from surgical_pipeline.report.writing import PageRefusedError, write_page
from surgical_pipeline.settings import Settings, SettingsError

Metadata = dict[str, dg.MetadataValue]


def make_page(gateways: RunGateways, last: str, path: Path, *, link: str) -> Metadata:
    """Write the page about the ``last`` length of time to ``path``; returns the asset's metadata.

    Raises:
        dg.Failure: one of them is wrong, or the ledger cannot be read.
    """
    try:
        facts = facts_of(gateways.settings, gateways.ledger)
        made = make_period_report(gateways.ledger, parse_length(last), facts=facts)
        size = write_page(path, render(made))
    except (PeriodError, PageRefusedError, SettingsError, LedgerError) as error:
        code = getattr(error, "code", None)
        told = f"{code}: {error}" if code else str(error)
        raise dg.Failure(told, allow_retries=code is FailureCode.LOCK_TIMEOUT) from error
    return _metadata(made, path.absolute(), size=size, link=link)


def facts_of(settings: Settings, ledger: Ledger) -> LedgerFacts:
    """What a report says beside the ledger's tables; what is not configured or wrongly so is None."""
    gitlab_url = model = file_bytes = None
    with suppress(SettingsError):
        gitlab_url = settings.gitlab_url
    with suppress(SettingsError, EmbedderError):
        model = settings.embedder.create().name
    with suppress(SettingsError, OSError, LedgerError):
        file_bytes = LedgerFiles(settings).bytes or None
    return LedgerFacts(ledger.location, gitlab_url=gitlab_url, model=model, file_bytes=file_bytes)


def _metadata(made: PeriodReport, path: Path, *, size: int, link: str) -> Metadata:
    states = made.states
    figures = {
        "runs": made.runs,
        "runs failed": made.runs_by_status.get("failed", 0),
        "entities synced": states.synced + states.unchanged,
        "entities not up to date": states.failed + states.incomplete,
        "requests": made.http.requests,
        "requests answered with 429": made.http.rate_limited,
        "events that wait": made.events.pending,
        "dead letters": made.events.dead,
        "page bytes": size,
        **({} if made.backlog is None else {"documents without a vector": made.backlog.without_vector}),
        **({} if made.ledger.file_bytes is None else {"ledger bytes": made.ledger.file_bytes}),
        **{f"rows of {table.name}": table.rows for table in made.ledger.tables},
    }
    page = dg.MetadataValue.url(link) if link else dg.MetadataValue.url(path.as_uri())
    return {
        "page": page,
        "path": dg.MetadataValue.path(path),
        **{name: dg.MetadataValue.int(value) for name, value in figures.items()},
    }
