"""How a run begins in the ledger. Only the recorder calls this."""

from collections.abc import Mapping

from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger import outcomes as store
from surgical_pipeline.ledger.protocol import Transaction


def begin_run(tx: Transaction, run_id: str, scope: Scope, *, row: Mapping[str, object]) -> bool:
    """The row of a new run, or of one that waited as queued, and a pending outcome for each entity.

    False: the run is already running or has ended; nothing is written.
    """
    if tx.execute("insert_run", **row):
        store.insert_pending(tx, run_id, scope)
    elif tx.execute("start_queued_run", **row):
        store.replace_pending(tx, run_id, scope)
    else:
        return False
    return True
