"""A code location of its own: surgical-pipeline's Definitions, merged with two assets on what it syncs."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
from pydantic import Field

import surgical_pipeline.definitions
from surgical_pipeline.dataset import Dataset
from surgical_pipeline.domain.foreign_text import visible
from weekly_digest.digest import digest_of
from weekly_digest.labels import SHOWN, picture, times_in_labels

GITLAB = "gitlab_dataset"
"""The IO manager that comes with surgical-pipeline's Definitions."""


class Period(dg.Config):
    """As it stands: the seven days until now."""

    until: str = Field(default="", description="When it ends, such as 2026-05-04; empty: now.")
    days: int = Field(default=7, gt=0, description="How long it is.")

    def bounds(self) -> tuple[datetime, datetime]:
        """From when to before when."""
        until = datetime.fromisoformat(self.until) if self.until else datetime.now(UTC)
        until = until.replace(tzinfo=until.tzinfo or UTC)
        return until - timedelta(days=self.days), until


@dg.asset(
    group_name="digest",
    ins={"spans": dg.AssetIn("published", input_manager_key=GITLAB, metadata={"table": "label_spans"})},
    automation_condition=dg.AutomationCondition.eager(),
)
def label_times(spans: pd.DataFrame) -> dg.Output[pd.DataFrame]:
    """How long issues and merge requests are in each label."""
    times = times_in_labels(spans, datetime.now(UTC))
    records = [
        dg.TableRecord({"label": visible(label), "spans": spans, "days": round(days, 1)})
        for label, spans, days, _ in times.head(SHOWN).to_numpy().tolist()
    ]
    columns = [dg.TableColumn("label", "string"), dg.TableColumn("spans", "int"), dg.TableColumn("days", "float")]
    return dg.Output(
        times,
        metadata={
            "labels": len(times),
            "median days": dg.MetadataValue.table(records, dg.TableSchema(columns)),
            **({"plot": dg.MetadataValue.md(picture(times))} if len(times) else {}),
        },
    )


@dg.asset(
    group_name="digest",
    ins={"published": dg.AssetIn("published", input_manager_key=GITLAB)},
    automation_condition=dg.AutomationCondition.on_cron("0 7 * * 1"),
)
def weekly_digest(config: Period, published: Dataset, label_times: pd.DataFrame) -> dg.Output[str]:
    """What was opened, closed and merged, and what waits for an answer."""
    since, until = config.bounds()
    made = digest_of(published, label_times, since=since, until=until)
    return dg.Output(
        made.markdown,
        metadata={"digest": dg.MetadataValue.md(made.markdown), "closed": made.closed, "merged": made.merged},
    )


automation = dg.AutomationConditionSensorDefinition(
    "digest_automation",
    target=[label_times, weekly_digest],
    default_status=dg.DefaultSensorStatus.RUNNING,
)

defs = dg.Definitions.merge(
    surgical_pipeline.definitions.defs,
    dg.Definitions(assets=[label_times, weekly_digest], sensors=[automation]),
)
