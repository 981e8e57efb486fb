"""One prune, of Dagster's storage first and then of the ledger.

The order matters: a run that the ledger no longer had and Dagster still did would look to the mirror like one that
this ledger lost, and come back as failed. So a row of the ledger goes only when Dagster no longer knows the run.
"""

import time

import dagster as dg

from surgical_pipeline.defs.dagster_home import alone_in_pruning, id_of
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.defs.pruning.dagster_side import DagsterSide
from surgical_pipeline.defs.pruning.run_files import RunFiles
from surgical_pipeline.domain.pruning import LedgerPruned, PruneReport, PruneWish
from surgical_pipeline.ledger.opening import LedgerFiles, open_ledger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.pruning import prune_ledger
from surgical_pipeline.settings import Settings


def prune(instance: dg.DagsterInstance, settings: Settings, wish: PruneWish) -> PruneReport:
    """Delete what ``wish`` names, or with its ``dry_run`` only tell it. What is deleted stays deleted.

    A kill at any moment leaves no run half known: the next call finishes what was begun.

    Raises:
        SettingsError, LedgerError: the ledger cannot be used now.
    """
    started = time.monotonic()
    ledger, home = open_ledger(settings), settings.dagster_home
    with alone_in_pruning(home):
        if ledger.exists and not wish.dry_run:
            mirror = Mirror(instance, ledger)
            mirror.bring_back()
            mirror.settle()
        side = DagsterSide(instance, ledger, files=RunFiles(instance, home), wish=wish)
        of_dagster = side.prune()
        of_ledger = _prune_ledger(instance, settings, ledger=ledger, side=side, wish=wish)
    return PruneReport(
        before=wish.before,
        triggers=sorted(wish.triggers),
        dry_run=wish.dry_run,
        dagster=of_dagster,
        ledger=of_ledger,
        seconds=round(time.monotonic() - started, 3),
    )


def _prune_ledger(
    instance: dg.DagsterInstance, settings: Settings, *, ledger: Ledger, side: DagsterSide, wish: PruneWish
) -> LedgerPruned:
    if not ledger.exists:
        return LedgerPruned()
    files = LedgerFiles(settings)
    before = files.bytes
    done = prune_ledger(ledger, wish, instance=id_of(instance), still_known=side.known)
    leftovers, leftover_bytes = files.remove_leftovers(dry_run=wish.dry_run)
    if done.runs + done.events and not wish.dry_run:
        files.fold_log_in()
    return LedgerPruned(
        runs=done.runs,
        events=done.events,
        leftovers=leftovers,
        leftover_bytes=leftover_bytes,
        bytes_before=before,
        bytes_after=files.bytes,
        windows=done.windows,
        longest_held_ms=round(done.longest_held_ms, 1),
        kept=done.kept,
    )
