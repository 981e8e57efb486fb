"""One look at the ledger for each scrape, which never waits for it longer than a few seconds."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.metrics import catalog
from surgical_pipeline.metrics.catalog import Sample
from surgical_pipeline.metrics.reading import Part
from surgical_pipeline.settings import SettingsError

_LOG = logging.getLogger(__name__)
LEDGER_SECONDS = 3.0
"""The longest that a scrape waits for the ledger. Prometheus itself gives up after 10 by default."""


class _Look:
    """One look. ``samples``: what is known of it so far. ``code``: why it ended early, in words ``reason``."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.samples: list[Sample] = []
        self.code: FailureCode | None = None
        self.reason = ""
        self.task: asyncio.Task[None] | None = None


class LedgerMetrics:
    """The ledger's samples. Scrapes at one time share one look, so a slow ledger is never asked twice at once.

    Args:
        open_ledger: gives the ledger; may raise SettingsError while its folder is missing.
        parts: what to read, each in a window of its own.
        seconds: the longest wait for all of it.
    """

    def __init__(
        self, open_ledger: Callable[[], Ledger], parts: Sequence[Part], *, seconds: float = LEDGER_SECONDS
    ) -> None:
        self._open_ledger = open_ledger
        self._parts = parts
        self._seconds = seconds
        self._look: _Look | None = None
        self._told: FailureCode | None = None

    async def samples(self) -> list[Sample]:
        """What could be read in time, and whether that was all. Raises nothing."""
        look = await self._looked()
        code = self._ending_of(look)
        self._tell(code, look.reason or f"it could not be read within {self._seconds:g} s")
        verdict = [catalog.LEDGER_UP.sample(code is None)]
        if code is not None:
            verdict.append(catalog.LEDGER_TROUBLE.sample(1, code))
        verdict.append(catalog.LEDGER_READ_SECONDS.sample(time.monotonic() - look.began))
        return [*verdict, *look.samples]

    async def trouble(self) -> FailureCode | None:
        """Why they could not all be read; None if they could."""
        return self._ending_of(await self._looked())

    async def _looked(self) -> _Look:
        look = self._look
        if look is None or look.task is None or look.task.done():
            look = self._look = _Look()
            look.task = asyncio.create_task(self._read(look))
        _, late = await asyncio.wait({look.task}, timeout=self._seconds)
        for task in late:
            task.cancel()  # a wait for the lock ends at once, a query that runs goes on; neither is waited for
        return look

    def _ending_of(self, look: _Look) -> FailureCode | None:
        late = look.task is not None and not look.task.done()
        return look.code or (FailureCode.TIMEOUT if late else None)

    async def _read(self, look: _Look) -> None:
        try:
            ledger = self._open_ledger()
            for part in self._parts:
                look.samples += await ledger.in_read("metrics", part)
        except asyncio.CancelledError:
            look.code = FailureCode.TIMEOUT
            raise
        except (LedgerError, SettingsError) as error:
            look.code, look.reason = error.code, str(error)
        except Exception:  # noqa: BLE001  a defect in one metric must not end the page
            _LOG.exception("the ledger's metrics could not be read")
            look.code, look.reason = FailureCode.INTERNAL_ERROR, "a defect"

    def _tell(self, code: FailureCode | None, reason: str) -> None:
        """Once for each change: scrapes go on through the night."""
        if code is not None and code is not self._told:
            _LOG.warning("the ledger's metrics are not served: %s: %s", code, reason)
        elif code is None and self._told is not None:
            _LOG.warning("the ledger's metrics are served again")
        self._told = code
