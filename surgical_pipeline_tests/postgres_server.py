"""A PostgreSQL server of the tests' own, from the system's packages: in a private folder, on a loopback port."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline_tests.surroundings import skip_or_fail

PASSWORD = "a-secret-of-the-ledger"
USER = "ledger"
_SETTINGS = {
    # Nothing needs to outlive the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10min",
}
_numbers = count(1)


@dataclass(frozen=True)
class PostgresServer:
    """``folder``: its data. Each ledger has a database of its own, made from a template."""

    folder: Path
    port: int
    binaries: Path
    host: str = "127.0.0.1"

    def url(self, database: str, *, password: str | None = PASSWORD) -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://{USER}{secret}@{self.host}:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """The name of a new database, as the template is; nobody may be connected to that."""
        name = f"ledger_{os.getpid()}_{next(_numbers)}"
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    @contextmanager
    def temporary(self, template: str = "template0") -> Iterator[str]:
        """A database for as long as the block lasts."""
        name = self.new_database(template)
        try:
            yield name
        finally:
            self.drop(name)

    def drop(self, database: str) -> None:
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def rows(self, database: str, text: str) -> list[tuple[Any, ...]]:
        """Ask in SQL, as somebody outside this project would."""
        with closing(psycopg.connect(self.url(database), autocommit=True)) as connection:
            connection.execute("SET search_path = main")
            return connection.execute(text).fetchall()

    def execute(self, database: str, text: str) -> None:
        with closing(psycopg.connect(self.url(database), autocommit=True)) as connection:
            connection.execute(text)

    def address(self, database: str) -> Address:
        return Address.parse(self.url(database))

    def ledger(self, database: str, **options: Any) -> PostgresLedger:
        return PostgresLedger(self.address(database), **options)

    def restart(self) -> None:
        """Cut all connections, as a restart of the machine does."""
        for how in (("stop", "-m", "immediate"), ("start", "-l", str(self.folder / "log"))):
            _run([self.binaries / "pg_ctl", "-D", self.folder / "data", "-w", *how])


def _identity() -> dict[str, Any]:
    """Whose processes they are: not root's."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _run(command: list[Any]) -> None:
    done = subprocess.run(
        [str(one) for one in command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        cwd="/",
        **_identity(),
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}: {command}")


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parents[1].name))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def postgres_server(
    host: str = "127.0.0.1", *, network: str | None = None, programs: Path | None = None
) -> Iterator[PostgresServer]:
    """A running server; stopped and removed at the end.

    ``network``: from which others may connect, too. ``programs``: the folder of its programs, which everybody can
    read; None: the system's.
    """
    binaries = programs or _binaries()
    if binaries is None:
        skip_or_fail("no PostgreSQL is installed: apt-get install postgresql")
        return
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres", "postgres")
    try:
        access = ("-U", USER, "--pwfile", secret, "--auth=scram-sha-256")
        made = ("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        _run([binaries / "initdb", "-D", folder / "data", *access, *made])
        server = PostgresServer(folder, _free_port(), binaries, host)
        settings = _SETTINGS | {
            "port": str(server.port),
            "listen_addresses": f"'{host}'",
            "unix_socket_directories": f"'{folder}'",
        }
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        if network is not None:
            with (folder / "data" / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {network} scram-sha-256\n")
        _run([binaries / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "start"])
        try:
            yield server
        finally:
            _run([binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
