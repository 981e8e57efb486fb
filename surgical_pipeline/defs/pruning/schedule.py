"""The job `prune` and its schedule: the same as the command, once a night."""

import dagster as dg
from pydantic import Field

from surgical_pipeline.defs.dagster_runs import BACKGROUND, ON_CONTROL
from surgical_pipeline.defs.dagster_words import as_cause, as_dagster_failure
from surgical_pipeline.defs.handing_on import HANDING_ON, NOTHING
from surgical_pipeline.defs.pruning.both_sides import prune
from surgical_pipeline.defs.pruning.ours import PRUNE
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.pruning import DEFAULT_AGE, PruneError, PruneWish, parse_age, parse_triggers
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.settings import Settings, SettingsError


class PruneConfig(dg.Config):
    """What is old; as it stands, runs that ended more than 30 days ago."""

    older_than: str = Field(
        default=DEFAULT_AGE, description=f"Age of runs, since they ended: 30d, 12h or 2w. Default: {DEFAULT_AGE}."
    )
    trigger: str = Field(
        default="", description="Only runs of these triggers, such as sensor,backfill. Default: all."
    )
    dry_run: bool = Field(default=False, description="true only tells what would be deleted. Default: false.")

    def wish(self) -> PruneWish:
        """Raises PruneError if the age or a trigger cannot be understood."""
        age = parse_age(self.older_than)
        chosen = {"triggers": parse_triggers(self.trigger)} if self.trigger else {}
        return PruneWish(before=utc_now() - age, dry_run=self.dry_run, **chosen)


@dg.op(out=NOTHING)
def delete_old_runs(context: dg.OpExecutionContext, config: PruneConfig) -> None:
    """Delete old runs of Dagster and of the ledger, and say what it came to."""
    try:
        report = prune(context.instance, Settings.from_environment(), config.wish())
    except (SettingsError, LedgerError) as error:
        raise _failed(error.code, error) from as_cause(error)
    except PruneError as error:
        raise _failed(FailureCode.INTERNAL_ERROR, error) from as_cause(error)
    context.add_output_metadata(
        {
            "runs deleted in Dagster": report.dagster.runs,
            "files deleted": report.dagster.files,
            "bytes deleted": report.dagster.bytes,
            "runs deleted in the ledger": report.ledger.runs,
            "events deleted": report.ledger.events,
            "report": dg.MetadataValue.json(report.model_dump(mode="json")),
        }
    )


def _failed(code: FailureCode, error: Exception) -> dg.Failure:
    return as_dagster_failure(Failure(code=code, message=str(error), stage=PRUNE))


@dg.job(
    name=PRUNE,
    description="Deletes runs that ended long ago from Dagster and the ledger, with their files. Never content.",
    metadata=read_more("docs/pruning.md"),
    tags={**BACKGROUND, **ON_CONTROL},
    resource_defs=HANDING_ON,
    executor_def=dg.in_process_executor,
)
def prune_job() -> None:
    delete_old_runs()


prune_schedule = dg.ScheduleDefinition(
    name=PRUNE,
    job=prune_job,
    cron_schedule="10 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Deletes runs that ended more than 30 days ago from Dagster and the ledger, once a night.",
)
