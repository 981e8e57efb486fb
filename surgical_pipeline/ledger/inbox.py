"""The way into the inbox: events of hooks, numbered in the order in which windows bring them."""

from collections.abc import Sequence
from dataclasses import asdict

from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.ledger.protocol import Transaction


def insert_events(tx: Transaction, events: Sequence[GitLabEvent]) -> int:
    """Add those that are not known yet, each with the next ``seq``; returns their number.

    Repeating it changes nothing: an event is known by its key, whatever has become of it since. No two of
    ``events`` may share a key.
    """
    if not events:
        return 0
    inserted = tx.execute(
        "insert_events",
        places=list(range(len(events))),
        event_keys=[event.key for event in events],
        kinds=[event.kind for event in events],
        project_ids=[event.project_id for event in events],
        project_paths=[event.project_path for event in events],
        entity_types=[str(event.entity.entity_type) for event in events],
        iids=[event.entity.iid for event in events],
        occurred_at=[event.occurred_at for event in events],
        sent_at=[event.sent_at for event in events],
        received_at=[event.received_at for event in events],
    )
    return len(inserted)


def record_deliveries(tx: Transaction, receiver: str, counters: DeliveryCounts) -> None:
    """What this receiver has counted so far."""
    tx.execute("record_deliveries", receiver=receiver, now=tx.now, **asdict(counters))


def load_deliveries(tx: Transaction) -> DeliveryCounts:
    """What all receivers have counted, as far as they have told."""
    (row,) = tx.rows("load_deliveries")
    return DeliveryCounts(**row)
