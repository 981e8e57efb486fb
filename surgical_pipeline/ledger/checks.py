"""What the asset checks ask about a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from surgical_pipeline.ledger.protocol import Transaction


@dataclass(frozen=True, slots=True)
class ScopeCheck:
    """Rows that carry a run's stamp: how many, and by table how many of them it should not have written.

    ``outside`` names only tables that have such rows: it should be empty. A row that is gone has no stamp:
    ``gone`` counts the rows of dependents of other entities that were written and no longer exist, no matter
    which run deleted them.
    """

    written: int
    outside: Mapping[str, int]
    gone: int = 0

    @property
    def ok(self) -> bool:
        return not self.outside and not self.gone


@dataclass(frozen=True, slots=True)
class Checked:
    """How much there is to check: documents that the run regenerated; vectors and live documents of all runs."""

    regenerated_documents: int
    vectors: int
    live_documents: int


def rows_outside_scope(tx: Transaction, run_id: str) -> ScopeCheck:
    """Every content row that the run wrote, and what is missing of others, against the entities it was asked for.

    Rows and their count are written in one transaction, so concurrent writes make no difference. Only if the
    sums differ, which no run should cause, does this look up whose rows are gone.
    """
    rows = tx.execute("count_rows_outside_scope", run_id=run_id)
    return ScopeCheck(
        written=sum(written for _, written, _ in rows),
        outside={table: outside for table, _, outside in rows if outside},
        gone=_gone_outside_scope(tx, run_id),
    )


def _gone_outside_scope(tx: Transaction, run_id: str) -> int:
    ((written, present),) = tx.execute("count_dependent_rows")
    return 0 if written == present else int(tx.column("count_rows_gone_outside_scope", run_id=run_id)[0])


def what_is_checked(tx: Transaction, run_id: str) -> Checked:
    (row,) = tx.rows("count_what_is_checked", run_id=run_id)
    return Checked(**row)


def documents_without_current_embedding(tx: Transaction, run_id: str, model: str) -> list[str]:
    """Live documents that the run regenerated and that have no vector of ``model`` for their text, by id.

    Documents that another run has regenerated since are left out: that run embeds them.
    """
    return tx.column("list_documents_without_current_embedding", run_id=run_id, model=model)


def orphan_vectors(tx: Transaction) -> dict[str, int]:
    """How many vectors each missing or deleted document has, by its id: should be empty."""
    return dict(tx.execute("list_orphan_vectors"))


def duplicate_documents(tx: Transaction) -> list[str]:
    """Live documents that are not the only one of their kind for their entity or discussion, by id."""
    return tx.column("list_duplicate_documents")
