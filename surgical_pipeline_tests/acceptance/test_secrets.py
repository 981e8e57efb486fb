"""Where the token and the embedder's key must never be: in anything that a run leaves behind."""

import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.sandbox.server import RunningSandbox

TOKEN = "glpat-nobody-may-find-me"
API_KEY = "sk-nor-me-either"
PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")


@pytest.fixture
def secretive(home: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation whose secrets are like nothing else in the world."""
    viewers = sandbox.app.state.viewers
    viewers[TOKEN] = viewers[sandbox.token]
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    monkeypatch.setenv("SURGICAL_EMBEDDER_API_KEY", API_KEY)
    yield home
    del viewers[TOKEN]


def sync(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "sync", "acme/rocket#12!34", "--json", "--verbose", *arguments]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def test_no_secret_is_in_what_runs_leave_behind(
    secretive: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = [sync(secretive)]
    monkeypatch.setenv("SURGICAL_EMBEDDER", "http")
    monkeypatch.setenv("SURGICAL_EMBEDDER_URL", "http://127.0.0.1:9/v1/embeddings")
    monkeypatch.setenv("SURGICAL_EMBEDDER_MODEL", "nobody-home")
    sandbox.control.update_issue(12, title="to be embedded anew")
    done.append(sync(secretive))
    sandbox.control.add_fault("*/issues/12/discussions", status=401, body=f'{{"message": "{TOKEN} is revoked"}}')
    done.append(sync(secretive))
    sandbox.control.add_fault("*/projects/acme*", status=403, body=f'{{"message": "{TOKEN} lacks a scope"}}')
    done.append(sync(secretive))
    assert [one.returncode for one in done] == [0, 3, 1, 1]
    assert list((secretive / "snapshots").iterdir())
    told = "".join(one.stdout + one.stderr for one in done)
    assert "UNAUTHORIZED" in told
    for secret in (TOKEN, API_KEY):
        assert secret not in told
        found = {name for name, content in everything_in(secretive) if secret.encode() in content}
        assert found == set()


def test_a_secret_would_be_found_wherever_it_lay(secretive: Path) -> None:
    (secretive / "plain.log").write_text(f"PRIVATE-TOKEN: {TOKEN}", encoding="utf-8")
    with closing(sqlite3.connect(secretive / "packed.db")) as connection, connection:
        connection.execute("CREATE TABLE t (body BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", [zlib.compress(TOKEN.encode())])
    with duckdb.connect(str(secretive / "another.duckdb")) as database:
        database.execute("CREATE TABLE t AS SELECT ? AS body FROM range(5000)", [TOKEN])
    found = {name for name, content in everything_in(secretive) if TOKEN.encode() in content}
    assert {"plain.log", "packed.db t", "another.duckdb t"} <= found


def everything_in(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file as it is, and every row of every database in it: databases pack what they hold."""
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        name = str(path.relative_to(home))
        content = path.read_bytes()
        yield name, content
        if path.suffix == ".duckdb":
            yield from _rows_of_duckdb(path, name)
        elif content.startswith(b"SQLite format 3"):
            yield from _rows_of_sqlite(path, name)


def _rows_of_duckdb(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect(str(path), read_only=True) as database:
        for (table,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            rows = database.execute(f"SELECT DISTINCT t::VARCHAR FROM {table} AS t").fetchall()
            yield f"{name} {table}", "\n".join(row[0] for row in rows).encode()


def _rows_of_sqlite(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            values = [value for row in database.execute(f'SELECT * FROM "{table}"') for value in row]
            yield f"{name} {table}", b"\n".join(map(_unpacked, values))


def _unpacked(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else str(value).encode()
    with suppress(zlib.error):
        return zlib.decompress(raw)
    return raw
