"""What `doctor` says about events and sensors, and events as people see them."""

from collections.abc import Iterable, Iterator

from surgical_pipeline.cli.actions.finding import Finding
from surgical_pipeline.defs.sensors.switches import switched_off
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.events import EventState, InboxEvent, count_events
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import DagsterHomeError, Settings, SettingsError

TIMEOUT_SECONDS = 10.0


def check_events(settings: Settings) -> Iterator[Finding]:
    """Dead letters, and sensors that should run and do not. What else is wrong is reported elsewhere."""
    yield from _check_dead_letters(settings)
    yield from _check_sensors(settings)


def _check_dead_letters(settings: Settings) -> Iterator[Finding]:
    try:
        ledger = open_ledger(settings, wait_at_most_seconds=TIMEOUT_SECONDS)
        if not ledger.exists:
            return
        with ledger.read("doctor") as tx:
            counts = count_events(tx)
    except (SettingsError, LedgerError):
        return
    if not any(counts.values()):
        return
    dead = counts[EventState.DEAD]
    letters = "1 dead letter" if dead == 1 else f"{dead} dead letters"
    yield Finding(
        check="events",
        ok=True,
        found=f"{counts[EventState.PENDING]} pending, {counts[EventState.DONE]} done, {letters}",
        what_to_do="`surgical-pipeline events list --state dead` says why; then `events retry` or `events drop`."
        if dead
        else "",
    )


def _check_sensors(settings: Settings) -> Iterator[Finding]:
    try:
        off = switched_off(settings)
    except (SettingsError, DagsterHomeError):
        return
    for sensor, needed_by in off.items():
        yield Finding(
            check="sensors",
            ok=True,
            found=f"the sensor {sensor} is switched off in Dagster, but {needed_by}",
            what_to_do=f"Switch {sensor} on in Dagster's UI, under Automation.",
        )


class ShownEvent(InboxEvent):
    """``watched``: whether a run will be asked for because of it while it is pending, by SURGICAL_PROJECTS."""

    entity: str
    watched: bool


def shown_events(settings: Settings, events: Iterable[InboxEvent]) -> list[ShownEvent]:
    """The events as `events list` shows them.

    Raises:
        SettingsError: SURGICAL_PROJECTS names something that is no project.
    """
    watches = settings.watches
    return [
        ShownEvent(
            **event.model_dump(),
            entity=str(event),
            watched=not watches or any(watch.covers(event.project_id, event.project) for watch in watches),
        )
        for event in events
    ]
