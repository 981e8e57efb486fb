"""The asset `report`: the page of `surgical-pipeline report`, made on a schedule, and figures of it that plot."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from surgical_pipeline.defs.asset_keys import ASSETS, REPORT
from surgical_pipeline.defs.dagster_runs import ON_CONTROL
from surgical_pipeline.defs.gateways import GATEWAYS, gateways_of
from surgical_pipeline.defs.handing_on import stored_elsewhere
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.defs.sync.catalog import uri_of, with_place

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


def make_report(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult[None]:
    """Read the ledger in one window, then draw and write the page."""
    # Only here: charts and their values take a second to import, and every start of Dagster would wait for it.
    from surgical_pipeline.defs.report_page import make_page  # noqa: PLC0415

    gateways = gateways_of(context)
    path = Path(config.path) if config.path else gateways.settings.dagster_home / DEFAULT_NAME
    return dg.MaterializeResult(metadata=make_page(gateways, config.last, path, link=config.link))


report = dg.multi_asset(
    name="report",  # whatever the key's prefix is, run config names this
    specs=[
        with_place(
            stored_elsewhere(
                dg.AssetSpec(
                    REPORT,
                    deps=ASSETS,
                    group_name="surgical",
                    description="A page about the syncs of the last days: what is up to date and what is not, "
                    "failures with advice, runs, requests, lags and the size of the ledger. One HTML file that "
                    "needs no network.",
                )
            ),
            kinds={"python", "html"},
            uri=uri_of("file", lambda settings: settings.dagster_home / DEFAULT_NAME),
            code=make_report,
            docs="docs/report.md",
        )
    ],
    required_resource_keys={GATEWAYS},
)(make_report)

report_job = dg.define_asset_job(
    "report_job",
    selection=[report],
    run_tags=ON_CONTROL,
    description="Makes the page about the last days, and writes it to a file: the asset `report`.",
    metadata=read_more("docs/report.md"),
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
