"""A ledger brought into another database: every row of every table, compared at the end.

What is there is not copied again, so a copy that was stopped goes on where it ended.
"""

from collections.abc import Callable, Collection

from pydantic import BaseModel, ConfigDict

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.errors import BackupRefusedError, LedgerError, LedgerMissingError
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.rows import NO_READERS, TABLES, Fingerprint, Row, RowLedger, Tables
from surgical_pipeline.ledger.search_index import index_documents
from surgical_pipeline.ledger.versions import refuse_newer

INDEX_AT_ONCE = 500


class CopiedTable(BaseModel):
    """``fingerprint``: the same on both sides. ``rows``: in the table; ``written``: of them now."""

    model_config = ConfigDict(frozen=True)

    rows: int
    written: int
    fingerprint: str


class Copied(BaseModel):
    model_config = ConfigDict(frozen=True)

    source: str
    destination: str
    tables: dict[str, CopiedTable]


def copy_ledger(
    source: RowLedger, destination: RowLedger, *, tell: Callable[[str, int], None] = lambda _table, _rows: None
) -> Copied:
    """Copy all rows that ``destination`` lacks, and compare each table. Nothing else may write there meanwhile.

    ``tell``: called with a table and its rows so far. The copy takes over the source's name (``ledger_name``). It
    can be stopped at any moment and called again.

    Raises:
        LedgerMissingError: there is nothing to copy.
        LedgerVersionError: a newer program migrated it; this one does not know all that is in it.
        BackupRefusedError: the destination is the source, or holds runs or a GitLab that the source does not have.
        LedgerError: one of the two cannot be used; or what is there differs from the source, which went on since.
    """
    if not source.exists:
        raise LedgerMissingError(source.location)
    if source.location == destination.location:
        raise BackupRefusedError(f"{destination.location} is the ledger itself: name another one to copy to.")
    with source.reading() as (tx, tables):
        with destination.writing() as (to_tx, to_tables):
            _refuse_others(tables, to_tables, destination=destination.location)
            (version,), (their_version,) = (one.column("read_schema_version") for one in (tx, to_tx))
            refuse_newer(source.location, found=version, migrations=sql.migrations())
            if version != their_version:
                raise LedgerError(
                    "The two ledgers have different schemas: update surgical-pipeline on both sides."
                )
        expected = {table: _copy_table(table, tables, destination, tell=tell) for table in TABLES}
        done = _compared(expected, tables, destination)
        _index_words(destination)
        with destination.writing() as (to_tx, _):
            _take_name(tx, to_tx)
    return Copied(source=source.location, destination=destination.location, tables=done)


def copy_to_read(source: RowLedger, destination: RowLedger, *, without: Collection[str]) -> None:
    """What typed views show, of one moment, in a new ledger that nobody else has open. It is not compared.

    ``without``: tables that nobody will read there. All rows go in one window: a file's log would be replayed in
    each. Columns that a newer program has added to the source are left out: this one's views do not show them.

    Raises:
        LedgerMissingError: there is nothing to copy.
        LedgerError: one of the two cannot be used.
    """
    with source.reading() as (tx, tables), destination.writing() as (to_tx, to_tables):
        for table in TABLES.keys() - NO_READERS - set(without):
            columns = to_tables.columns(table)
            for rows in tables.stream(table, columns):
                to_tables.insert(table, columns, rows)
        if "embeddings" in without:
            # By its time it is told how far a ledger has come.
            columns = to_tables.columns("embeddings")
            for row in tx.rows("load_newest_vector"):
                to_tables.insert("embeddings", columns, [tuple(row[name] for name in columns)])
        _take_name(tx, to_tx)


def _take_name(source: Transaction, destination: Transaction) -> None:
    for row in source.rows("list_migrations"):
        destination.execute("set_migration_time", **row)


def _refuse_others(ours: Tables, theirs: Tables, *, destination: str) -> None:
    for table, what in (("sync_runs", "runs"), ("projects", "projects"), ("gitlab_events", "events")):
        keys = TABLES[table]
        known = {row for rows in ours.stream(table, keys) for row in rows}
        strange = next((row for rows in theirs.stream(table, keys) for row in rows if row not in known), None)
        if strange is not None:
            raise BackupRefusedError(
                f"{destination} holds {what} that the other ledger does not have, such as {strange[0]}: "
                "copy to a new one."
            )


def _copy_table(
    table: str, source: Tables, destination: RowLedger, *, tell: Callable[[str, int], None]
) -> tuple[Fingerprint, int]:
    """All rows of the source's table with their fingerprint, and how many of them were written."""
    columns = source.columns(table)
    with destination.writing() as (_, tables):
        if sorted(tables.columns(table)) != sorted(columns):
            raise LedgerError(
                f"The table {table} has other columns in {destination.location}: nothing was copied."
            )
        after = tables.last_key(table)
    written = 0
    for rows in source.stream(table, columns, after=after):
        with destination.writing() as (_, tables):
            tables.insert(table, columns, rows)
        written += len(rows)
        tell(table, written)
    return _fingerprint(table, source, columns), written


def _fingerprint(table: str, tables: Tables, columns: list[str]) -> Fingerprint:
    found = Fingerprint()
    for rows in tables.stream(table, columns):
        found.add(rows)
    return found


def _compared(
    expected: dict[str, tuple[Fingerprint, int]], source: Tables, destination: RowLedger
) -> dict[str, CopiedTable]:
    done = {}
    with destination.reading() as (_, tables):
        for table, (ours, written) in expected.items():
            theirs = _fingerprint(table, tables, source.columns(table))
            if (theirs.rows, theirs.text) != (ours.rows, ours.text):
                raise LedgerError(
                    f"The table {table} of {destination.location} differs from the other ledger's: {theirs.rows} "
                    f"rows, not {ours.rows}, or others. If that ledger went on since a copy was begun, delete the "
                    "copy and make a new one."
                )
            done[table] = CopiedTable(rows=ours.rows, written=written, fingerprint=ours.text)
    return done


def _index_words(destination: RowLedger) -> None:
    """For searches: each database has an index of its own."""
    with destination.reading() as (_, tables):
        ids: list[Row] = [row for rows in tables.stream("documents", TABLES["documents"]) for row in rows]
    for start in range(0, len(ids), INDEX_AT_ONCE):
        with destination.writing() as (tx, _):
            index_documents(tx, [str(row[0]) for row in ids[start : start + INDEX_AT_ONCE]])
