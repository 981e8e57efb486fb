"""Dagster's runs page by page, however many there are."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import dagster as dg
from dagster_shared.record import copy

PAGE_SIZE = 200


def pages_of(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> Iterator[Sequence[dg.RunRecord]]:
    """Such runs in the order in which they changed last; one may come twice.

    Runs of a page may be deleted before the next one is asked for.
    """
    limit, after = PAGE_SIZE, wanted.updated_after
    while True:
        page = instance.get_run_records(
            copy(wanted, updated_after=after), limit=limit, order_by="update_timestamp", ascending=True
        )
        if page:
            yield page
        if len(page) < limit:
            return
        # Dagster's clock is coarse and several runs can share a timestamp: ask for the last one again.
        following = page[-1].update_timestamp - timedelta(microseconds=1)
        after, limit = (following, PAGE_SIZE) if after is None or following > after else (after, 2 * limit)
