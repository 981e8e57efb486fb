"""Coming to rest: no more edits, no kills, and time goes on until the sensors want nothing more."""

import asyncio
from functools import partial
from typing import Literal
from unittest.mock import patch

import httpx

from surgical_pipeline.defs.sensors.requests import CHANGES
from surgical_pipeline.domain.freshness import SETTLING_TIME
from surgical_pipeline.events.poll_cursor import PollCursor
from surgical_pipeline.events.settling import PAUSES
from surgical_pipeline.sandbox.control_models import Behaviour
from surgical_pipeline_tests.simulation.checks import BrokenError
from surgical_pipeline_tests.simulation.daemon import Sensor
from surgical_pipeline_tests.simulation.gitlab import PROJECT, asgi
from surgical_pipeline_tests.simulation.network import URL
from surgical_pipeline_tests.simulation.sensors import SWEEP
from surgical_pipeline_tests.simulation.simulation import Simulation
from surgical_pipeline_tests.store_equals_sandbox import differences_of

MOST_HOURS = 3
"""Events are tried for an hour and a quarter, all else for less."""
_SETTLED = 200.0
"""Seconds after the last edit: throttle, lag and overlap are over."""
_LOOK_SECONDS = 120.0
"""Between two looks at what is left by the settle rule: the look takes as long as a tick."""
_MOST_RESUMPTIONS = 3
_TRIED_TOO_OFTEN = f"""
SELECT entities.entity_type, entities.iid
FROM entities
JOIN entity_outcomes AS outcome ON outcome.entity_type = entities.entity_type AND outcome.iid = entities.iid
JOIN sync_runs AS run ON run.run_id = outcome.run_id
WHERE entities.missed_at IS NULL
    AND entities.fetched_at < entities.updated_at + INTERVAL '{SETTLING_TIME.total_seconds():.0f} seconds'
    AND run.finished_at >= entities.fetched_at AND run.run_id <> entities.run_id
GROUP BY 1, 2
HAVING COUNT(*) >= {len(PAUSES)}
"""
"""What the settle rule leaves until it changes or a sweep looks at it."""


async def come_to_rest(simulation: Simulation) -> None:
    """Let everybody do what is left to do.

    Raises:
        BrokenError: it never ends.
    """
    simulation.calm = True
    simulation.gitlab.calm_down()
    loop = simulation.loop
    since = loop.time()
    until = since + MOST_HOURS * 3600
    why = "nothing was looked at"
    while loop.time() < until:
        await asyncio.sleep(20)
        simulation.must_be_sound()
        why = _what_is_left(simulation, since=since)
        if not why:
            return
    raise BrokenError(f"it does not come to rest within {MOST_HOURS} hours: {why}")


def _what_is_left(simulation: Simulation, *, since: float) -> str:
    """What somebody still wants; empty: nothing."""
    daemon, now = simulation.daemon, simulation.loop.time()
    if daemon is None or not daemon.process.alive:
        return "no daemon is alive"
    if simulation.storage.unfinished():
        return "runs of Dagster have not ended"
    happened = max(since, simulation.gitlab.edited + _SETTLED, simulation.last_asked, simulation.last_change)
    if simulation.hooks.on_way or not daemon.have_all_looked_since(happened):
        return "something happened a moment ago"
    tick = simulation.storage.ticks.get(CHANGES)
    states = PollCursor.parse(tick.cursor or "").states if tick and tick.cursor else {}
    if not states or any(one.since or one.position for lists in states.values() for one in lists.values()):
        return f"polling waits for changes: {tick and tick.cursor}"
    if going_on := _what_goes_on(simulation):
        return going_on
    if now >= simulation.looks_again_at and simulation.sensors:
        due = simulation.sensors.unsettled()
        simulation.looks_again_at = now + _LOOK_SECONDS if due else 0.0
        simulation.left = f"not settled: {due}" if due else ""
    return simulation.left


def _what_goes_on(simulation: Simulation) -> str:
    """What the ledger, a command or the receiver has not done yet."""
    rows = simulation.file.rows_since_write
    if pending := simulation.checks.pending_events():
        return f"events are pending: {pending}"
    if runs := rows("SELECT run_id FROM sync_runs WHERE finished_at IS NULL"):
        return f"runs of the ledger have not ended: {runs}"
    if differing := simulation.checks.told_otherwise():
        return f"the mirror lags: {differing}"
    if simulation.people.busy or simulation.backfills.under_way():
        return f"commands or backfills go on: {simulation.backfills.under_way()}"
    if simulation.receiver and simulation.receiver.waiting_keys():
        return "events wait in the spool"
    return ""


Swept = Literal["no", "once", "deeply"]
"""No tick of the schedule came yet; one that leaves out what is unchanged; and two deep ones.

The second because what is gone is tombstoned at its second miss.
"""


async def sweep(simulation: Simulation, *, deep: bool) -> None:
    """The schedule's ticks."""
    for _ in range(2 if deep else 1):
        if simulation.daemon is None or simulation.sensors is None:
            raise AssertionError("the simulation has not begun")
        sensor = Sensor(SWEEP, partial(simulation.sensors.sweep, deep=deep), (0, 0))
        await simulation.daemon.once(sensor)
        await come_to_rest(simulation)


async def resume_backfills(simulation: Simulation) -> None:
    """What people do who want their backfills done: resume them until nothing is left."""
    for _ in range(_MOST_RESUMPTIONS):
        left = simulation.backfills.to_resume(simulation.observer())
        if not left:
            return
        for backfill_id in left:
            simulation.people.resume(backfill_id)
        await come_to_rest(simulation)


def check_backfills(simulation: Simulation, *, resumed: bool) -> None:
    """Called while nobody runs. ``resumed``: nobody can do more about them."""
    checks, observer = simulation.backfills, simulation.observer()
    found = checks.in_the_end(observer) if resumed else []
    if wrong := [*checks.at_rest(observer), *found]:
        raise BrokenError("; ".join(wrong))


def check_at_rest(simulation: Simulation, *, swept: Swept) -> None:
    """Called while nobody runs.

    Until the first sweep, what nothing announced and what was given up aloud may differ; until the deep ones, what
    no record shows; then everything must be equal.
    """
    checks = simulation.checks
    checks.no_event_is_lost(simulation.receiver)
    checks.every_ended_run_has_its_outcomes()
    checks.nothing_runs()
    checks.each_event_has_its_end()
    checks.only_what_is_watched_is_here(simulation.gitlab.project_id)
    hidden = {(kind, iid) for _, kind, iid in simulation.gitlab.hidden}
    excused = _excused(simulation) if swept == "no" else hidden if swept == "once" else set()
    expected: set[tuple[str, int]] = {(kind, iid) for _, kind, iid in simulation.gitlab.visible()}
    if swept != "no":  # a sweep looks at what the ledger has
        expected -= _excused(simulation)
    found = _differences(simulation, expected - excused)
    told = [f"{key[0]} {key[1]}{text}" for key, text in found if key not in excused]
    if told:
        raise BrokenError("the ledger is not what GitLab has: " + "; ".join(told))


def _excused(simulation: Simulation) -> set[tuple[str, int]]:
    """What only a sweep can find: nothing announced it, or it was given up and said so, or tried too often."""
    unannounced = {(kind, iid) for _, kind, iid in simulation.gitlab.unannounced}
    left = {(str(kind), int(str(iid))) for kind, iid in simulation.file.rows(_TRIED_TOO_OFTEN)}
    return unannounced | left | simulation.given_up


def _differences(simulation: Simulation, expected: set[tuple[str, int]]) -> list[tuple[tuple[str, int], str]]:
    transport, behaviour = _WhileNobodyRuns(simulation), simulation.gitlab.world.behaviour
    with (
        patch.object(behaviour, "largest_offset", Behaviour().largest_offset),  # who compares may read every page
        httpx.Client(
            base_url=f"{URL}/api/v4", headers={"PRIVATE-TOKEN": simulation.gitlab.token}, transport=transport
        ) as api,
    ):
        return differences_of(simulation.file.rows, api, project=PROJECT, expected=expected)


class _WhileNobodyRuns(httpx.BaseTransport):
    """Asks the simulated GitLab from outside the event loop, which stands still otherwise."""

    def __init__(self, simulation: Simulation) -> None:
        self._loop = simulation.loop
        self._app = asgi(simulation.gitlab)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._loop.run_until_complete(self._app.handle_async_request(_asynchronous(request)))
        body = self._loop.run_until_complete(answer.aread())
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


def _asynchronous(request: httpx.Request) -> httpx.Request:
    return httpx.Request(request.method, request.url, headers=request.headers)
