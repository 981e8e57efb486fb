"""Reports of a ledger: one short read window each, in which nothing is rendered."""

from datetime import timedelta

from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import find_run
from surgical_pipeline.report.period import Period
from surgical_pipeline.report.reading import LedgerFacts, read_period, read_run
from surgical_pipeline.report.values import PeriodReport, RunReport


def make_period_report(ledger: Ledger, length: timedelta, *, facts: LedgerFacts) -> PeriodReport:
    """A report on the last ``length`` of time.

    Raises:
        LedgerError: it cannot be read, or there is none yet.
    """
    with ledger.read("report") as tx:
        return read_period(tx, Period.last(length, until=tx.now), facts=facts, made_at=tx.now)


def make_run_report(ledger: Ledger, prefix: str, *, gitlab_url: str | None) -> RunReport | None:
    """A report on the run with that id, or the only one whose id begins so; None if there is none.

    Raises:
        AmbiguousRunError: several ids begin so.
        LedgerError: it cannot be read, or there is none yet.
    """
    with ledger.read("report") as tx:
        found = find_run(tx, prefix)
        return read_run(tx, found.run_id, gitlab_url=gitlab_url, made_at=tx.now) if found else None
