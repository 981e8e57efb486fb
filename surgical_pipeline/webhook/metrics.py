"""What a receiver tells of itself to scrapers, beside what it knows of the ledger."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from surgical_pipeline.metrics import catalog
from surgical_pipeline.metrics.catalog import Sample
from surgical_pipeline.metrics.reading import of_deliveries
from surgical_pipeline.webhook.drain import DrainState
from surgical_pipeline.webhook.spool import Spool
from surgical_pipeline.webhook.spool_file import SpoolError

SPOOL_SECONDS = 2.0


async def receiver_samples(spool: Spool, drain_state: Callable[[], DrainState], *, now: datetime) -> list[Sample]:
    """Of its spool, in two seconds at most, and of its way to the ledger."""
    state = drain_state()
    lost_for = max(0.0, (now - state.since).total_seconds()) if state.trouble and state.since else 0.0
    of_drain = catalog.DRAIN_TROUBLE.sample(lost_for)
    try:
        async with asyncio.timeout(SPOOL_SECONDS):
            await asyncio.wrap_future(spool.probe())
            waiting, counted = await asyncio.wrap_future(spool.state())
    except (SpoolError, TimeoutError):
        return [catalog.SPOOL_UP.sample(0), of_drain]
    return [
        catalog.SPOOL_UP.sample(1),
        catalog.SPOOL_EVENTS.sample(waiting),
        *of_deliveries(catalog.RECEIVED, counted),
        of_drain,
    ]
