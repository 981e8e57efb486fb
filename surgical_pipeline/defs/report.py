"""The asset `report`: the page of `surgical-pipeline report`, made on a schedule, and figures of it that plot."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from surgical_pipeline.defs.gateways import RunGateways, open_embedder
from surgical_pipeline.defs.sync.asset import (
    DISCUSSIONS,
    DOCUMENTS,
    EMBEDDINGS,
    ISSUES,
    MERGE_REQUESTS,
    RESOURCE_EVENTS,
)
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.report.making import make_period_report
from surgical_pipeline.report.period import PeriodError, parse_length
from surgical_pipeline.report.reading import LedgerFacts
from surgical_pipeline.report.writing import PageRefusedError, write_page
from surgical_pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from surgical_pipeline.report.values import PeriodReport

DEFAULT_LAST = "7d"
DEFAULT_NAME = "report.html"


class ReportConfig(dg.Config):
    """As it stands: the last seven days, in DAGSTER_HOME."""

    last: str = Field(default=DEFAULT_LAST, description="How far back it looks: 30m, 24h, 7d or 4w.")
    path: str = Field(
        default="", description=f"The file to write; empty: {DEFAULT_NAME} in DAGSTER_HOME. Its folder must exist."
    )
    link: str = Field(
        default="",
        description="Where people can open that file, such as https://intranet/report.html, if something serves "
        "it: the link in the asset's metadata. Browsers do not follow links from Dagster's pages to local files.",
    )


@dg.asset(
    name="report",
    deps=[ISSUES, MERGE_REQUESTS, DISCUSSIONS, RESOURCE_EVENTS, DOCUMENTS, EMBEDDINGS],
    group_name="surgical",
    required_resource_keys={"gateways"},
    description="A page about the syncs of the last days: what is up to date and what is not, failures with "
    "advice, runs, requests, lags and the size of the ledger. One HTML file that needs no network.",
)
def report(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult[None]:
    """Read the ledger in one window, then draw and write the page."""
    gateways: RunGateways = context.resources.gateways
    # Only here: charts take a second to import, and every start of Dagster would wait for it.
    from surgical_pipeline.report.page import render  # noqa: PLC0415

    try:
        path = Path(config.path) if config.path else gateways.settings.dagster_home / DEFAULT_NAME
        facts = facts_of(gateways.settings, gateways.ledger)
        made = make_period_report(gateways.ledger, parse_length(config.last), facts=facts)
        size = write_page(path, render(made))
    except (PeriodError, PageRefusedError, SettingsError, LedgerError) as error:
        code = getattr(error, "code", FailureCode.INTERNAL_ERROR)
        raise dg.Failure(f"{code}: {error}", allow_retries=code is FailureCode.LOCK_TIMEOUT) from error
    return dg.MaterializeResult(metadata=_metadata(made, path, size=size, link=config.link))


def facts_of(settings: Settings, ledger: Ledger) -> LedgerFacts:
    """What a report says beside the ledger's tables; what is not configured or wrongly so is None."""
    gitlab_url = model = file_bytes = None
    with suppress(SettingsError):
        gitlab_url = settings.gitlab_url
    with suppress(SettingsError, EmbedderError):
        model = open_embedder(settings).name
    with suppress(SettingsError, OSError):
        path = settings.ledger_path
        log = path.with_name(f"{path.name}.wal")
        file_bytes = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    return LedgerFacts(ledger.location, gitlab_url=gitlab_url, model=model, file_bytes=file_bytes)


def _metadata(made: "PeriodReport", path: Path, *, size: int, link: str) -> dict[str, dg.MetadataValue]:
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
    page = dg.MetadataValue.url(link) if link else dg.MetadataValue.url(path.absolute().as_uri())
    return {
        "page": page,
        "path": dg.MetadataValue.path(path.absolute()),
        **{name: dg.MetadataValue.int(value) for name, value in figures.items()},
    }


report_job = dg.define_asset_job(
    "report_job",
    selection=[report],
    description="Make the page about the last days.",
    executor_def=dg.in_process_executor,
)

report_schedule = dg.ScheduleDefinition(
    name="report",
    job=report_job,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Makes the page about the last seven days every morning.",
)
