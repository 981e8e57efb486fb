"""The asset `published` and its job: a copy of what was synced, for everybody who reads."""

import dagster as dg

from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.publish_settings import PublishSettings
from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.defs.asset_keys import GITLAB, PUBLISHED
from surgical_pipeline.defs.dagster_runs import ON_CONTROL
from surgical_pipeline.defs.dagster_words import as_cause, as_dagster_failure
from surgical_pipeline.defs.handing_on import stored_elsewhere
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.defs.sync.catalog import uri_of, with_place
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.opening import open_copyable
from surgical_pipeline.settings import Settings, SettingsError

PUBLISH_JOB = "published"


def publish_copy(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Publish a new version. Without SURGICAL_PUBLISH the run fails and says so."""
    from surgical_pipeline.dataset.publishing import publish_as_set  # noqa: PLC0415  not at start-up

    settings = Settings.from_environment()
    try:
        done = publish_as_set(open_copyable(settings), settings)
    except (SettingsError, LedgerError) as error:
        raise _failed(error.code, error) from as_cause(error)
    except DatasetError as error:
        raise _failed(FailureCode.LEDGER_ERROR, error) from as_cause(error)
    manifest = done.manifest
    context.log.info("version %d in %s", manifest.version, done.path)
    return dg.MaterializeResult(
        metadata={
            "version": manifest.version,
            "path": dg.MetadataValue.path(str(done.path)),
            "last run": manifest.last_run or "none",
            "rows": dg.MetadataValue.json({name: table.rows for name, table in manifest.tables.items()}),
            "dagster/row_count": sum(table.rows for table in manifest.tables.values()),
            "confidential": manifest.confidential,
            "ledger held (ms)": manifest.window_ms,
            "seconds": manifest.seconds,
        }
    )


def _tables() -> str:
    """What a copy has, as Markdown."""
    rows = (f"| {table.name} | {table.rows} | {len(table.columns)} |" for table in TABLES.values())
    return "\n".join(("| table | a row is | columns |", "|---|---|---:|", *rows))


published = dg.multi_asset(
    name="publish_copy",  # the job is named published, and no op may have a job's name
    specs=[
        with_place(
            stored_elsewhere(
                dg.AssetSpec(
                    PUBLISHED,
                    deps=GITLAB,
                    group_name="surgical",
                    description="A typed copy of what was synced, in the folder SURGICAL_PUBLISH: whatever reads "
                    "it, and for however long, no sync waits. docs/data.md tells its tables.",
                )
            ),
            kinds={"python", "duckdb", "parquet"},
            uri=uri_of("file", lambda settings: PublishSettings.of(settings).folder),
            code=publish_copy,
            docs="docs/data.md#a-published-copy",
            metadata={"tables": dg.MetadataValue.md(_tables())},
        )
    ],
)(publish_copy)


def _failed(code: FailureCode, error: Exception) -> dg.Failure:
    return as_dagster_failure(Failure(code=code, message=str(error), stage="publish"))


published_job = dg.define_asset_job(
    PUBLISH_JOB,
    selection=[published],
    run_tags=ON_CONTROL,
    executor_def=dg.in_process_executor,
    description="Publishes a new version of the copy in SURGICAL_PUBLISH, as `surgical-pipeline publish` does.",
    metadata=read_more("docs/data.md"),
)
