"""What Dagster's storage takes on the disk."""

from collections.abc import Iterator

from surgical_pipeline.cli.actions.finding import Finding
from surgical_pipeline.defs.dagster_home import opened_instance
from surgical_pipeline.domain.pruning import MANY_BYTES, MANY_RUNS
from surgical_pipeline.domain.words import size_in_words
from surgical_pipeline.ledger.disk import allocated
from surgical_pipeline.settings import DagsterHomeError, Settings, SettingsError

_ADVICE = (
    "Run `surgical-pipeline prune`, or switch the schedule prune on in Dagster's UI, under Automation. "
    "With --dry-run it only tells what would go."
)
_FOLDERS = ("history", "storage", "schedules", "snapshots")


def check_size(settings: Settings) -> Iterator[Finding]:
    """How many runs Dagster keeps, and what they take; a warning if that is much."""
    try:
        home = settings.dagster_home
        with opened_instance() as instance:
            runs = instance.get_runs_count()
    except (SettingsError, DagsterHomeError):
        return  # already reported
    size = sum(allocated(home / name) for name in _FOLDERS)
    much = runs >= MANY_RUNS or size >= MANY_BYTES
    yield Finding(
        check="runs",
        ok=True,
        found=f"Dagster keeps {runs:,} runs, {size_in_words(size)} on the disk",
        what_to_do=_ADVICE if much else "",
    )
