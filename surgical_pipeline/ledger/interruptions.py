"""Signals that come while DuckDB runs a query: for all that uses it, the ledger's file and published ones."""

from collections.abc import Iterator
from contextlib import contextmanager

_INTERRUPTED = "Query interrupted"


@contextmanager
def interruptions() -> Iterator[None]:
    """Raise KeyboardInterrupt where a signal ended a query.

    DuckDB lets Python handle signals while a query runs in the main thread, drops what the handler raises, and
    raises a RuntimeError of its own: a run that is cancelled would end as a defect.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise KeyboardInterrupt from error
