"""Backfills as people read them."""

from collections.abc import Callable, Sequence

from rich.table import Column

from surgical_pipeline.cli.output import shown_time
from surgical_pipeline.cli.terminal import each, print_list, say, words
from surgical_pipeline.defs.backfill_records import Backfill
from surgical_pipeline.domain.backfill import BackfillPlan
from surgical_pipeline.domain.backfill_report import BackfillState, BackfillStatus
from surgical_pipeline.domain.words import counted

_STYLES = {
    BackfillState.COMPLETED: "green",
    BackfillState.INCOMPLETE: "yellow",
    BackfillState.CANCELLED: "magenta",
    BackfillState.FAILED: "red",
    BackfillState.FAILING: "red",
}
_MINUTE = 60.0


def print_plan(plan: BackfillPlan, *, speak: Callable[[str], None] = say) -> None:
    """What will be launched, and what it costs; ``speak`` says a line."""
    if not plan.chunks:
        return
    least = f"{plan.least_requests:,} to " if plan.least_requests < plan.requests else ""
    entities, runs = counted(plan.entities, "entity", "entities"), counted(len(plan.chunks), "run")
    speak(f"{entities} of {', '.join(plan.projects)} in {runs}")
    speak(f"{least}{plan.requests:,} requests; planning took {plan.planning_requests:,}")
    if plan.seconds is not None:
        at_most = "at most " if least else "at least "
        speak(
            f"{at_most}{_duration(plan.seconds)} at GitLab's rate limit of {plan.per_minute:,} requests a minute"
        )
    elif plan.planning_requests:
        speak("GitLab names no rate limit, so how long it takes is not known")


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 120 * _MINUTE else f"{seconds / 3600:.1f} h"


def print_status(status: BackfillStatus) -> None:
    """What became of its entities, then what does not fit together, then what to do."""
    style = _STYLES.get(status.state, "")
    where = " in a process of its own" if status.local else ""
    say(f"backfill {status.backfill_id}: ", (str(status.state), style), where)
    if status.title:
        say(status.title)
    progress = status.progress
    unchanged = f" ({progress.unchanged:,} of them unchanged)" if progress.unchanged else ""
    say(f"of {counted(progress.entities, 'entity', 'entities')}: {progress.done:,} up to date{unchanged}")
    for count, word in (
        (progress.missing, "GitLab does not have or show"),
        (progress.failed, "failed"),
        (progress.running, "running"),
        (progress.waiting, "waiting"),
    ):
        if count:
            say(f"  {count:,} {word}")
    if progress.failures:
        codes = ", ".join(f"{code} {count:,}" for code, count in sorted(progress.failures.items()))
        say(f"  by code: {codes}")
    say(f"runs: {_counted(status.runs)}; in Dagster: {_counted(status.dagster_runs)}")
    if status.resumed_by:
        say(f"resumed by {', '.join(status.resumed_by)}, whose runs count here")
    for sentence in status.disagreements:
        say(("note: ", "yellow"), sentence)
    if status.state.over and status.left:
        say(f"`surgical-pipeline backfill resume {status.backfill_id}` tries {status.left:,} of them again.")


def print_backfills(backfills: Sequence[Backfill]) -> None:
    """The newest first."""
    columns = [Column("backfill", no_wrap=True), Column("launched", no_wrap=True), Column("state", no_wrap=True)]
    columns += [Column("entities", justify="right"), Column("runs", justify="right")]
    columns += [Column("resumes", no_wrap=True), Column("what", overflow="fold")]
    rows = [
        [
            *each((one.id, shown_time(one.made_at))),
            words((str(one.state), _STYLES.get(one.state, ""))),
            *each((f"{one.entities}", f"{len(one.keys)}", one.resumes or "", one.record.title or "")),
        ]
        for one in backfills
    ]
    print_list(columns, rows, empty="No backfills.")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items())) or "none"
