"""A recorder for a run whose stages have a process each: one begins the run, the others join it."""

from surgical_pipeline.domain.lifecycle import STAGES, Phase, RunStatus, as_stage
from surgical_pipeline.ledger import outcomes as store
from surgical_pipeline.ledger.belonging import load_belonging
from surgical_pipeline.ledger.errors import RunLostError
from surgical_pipeline.ledger.recorder import SyncRunRecorder


class JoinableRecorder(SyncRunRecorder):
    """A ``SyncRunRecorder`` that can also go on with what another process of the run began."""

    def join(self, phase: Phase) -> None:
        """Enter a stage of a run that another process began: each of its stages has a process of its own.

        Raises:
            RunLostError: the run has ended, or has come to a later stage: this process is a second one.
            LedgerReplacedError: the ledger does not know that the run has begun.
        """
        with self._ledger.write("join run") as tx:
            found = tx.rows("load_run", run_id=self.run_id)
            if not found or found[0]["status"] != RunStatus.RUNNING:
                raise self._row.lost(tx)
            reached = as_stage(Phase(found[0]["phase"]))
            if STAGES.index(reached) > STAGES.index(as_stage(phase)):
                raise RunLostError(self.run_id)
            known = {one.key: one for one in store.load_outcomes(tx, self.run_id)}
            self._remember(tx, "_known", value=known)
            self.belongs_to = load_belonging(tx)
            self._row.join(tx, reached)
            self._row.changed(tx).phase = phase
        self._usage.begin_stage(phase)

    def hand_on(self) -> None:
        """Write what the run used in this process, which ends: the next stage has one of its own.

        Raises:
            RunLostError: the run has ended meanwhile.
        """
        with self._ledger.write("hand on") as tx:
            self._row.changed(tx).with_usage = True
