"""Where a ledger in PostgreSQL is: the address that a person wrote, and how it may be shown."""

import re
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from surgical_pipeline.ledger.errors import LedgerError

_DEFAULTS: dict[str, Any] = {
    "application_name": "surgical_pipeline",
    "connect_timeout": 10,
    # A server that is gone without a word, as behind a cut cable, is noticed within a minute.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}

_WRONG = (
    "SURGICAL_LEDGER is no valid address of a PostgreSQL database: write postgresql://user@host:5432/database. "
    "Percent-encode what is special in a password, or better leave the password to PGPASSFILE."
)
_SHOWN = {
    # A password with an unencoded @ or / ends in one of these, as libpq reads it, and they are shown.
    "host": re.compile(r"[^@?#\s]*"),
    "port": re.compile(r"[0-9,]*"),
    "dbname": re.compile(r"[^@/?#:]*"),
    "user": re.compile(r"[^:/]*"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """``shown``: without the password, for messages. ``parameters`` may hold it, and are in no ``repr``."""

    shown: str
    parameters: dict[str, Any] = field(repr=False, compare=False, hash=False)
    text: str = field(repr=False)
    """As it was written: two addresses are the same if these are."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Of a ``postgresql://`` address. libpq adds what PG* variables, a service or PGPASSFILE say.

        Raises:
            LedgerError: it is none. libpq's own message may quote a part of the password, and is not repeated.
        """
        try:
            parameters = conninfo_to_dict(text)
        except psycopg.ProgrammingError:
            raise LedgerError(_WRONG) from None
        if not all(pattern.fullmatch(str(parameters.get(name) or "")) for name, pattern in _SHOWN.items()):
            raise LedgerError(_WRONG)
        return cls(shown=_shown(parameters), parameters={**_DEFAULTS, **parameters}, text=text)


def _shown(parameters: dict[str, Any]) -> str:
    """The same without the password and without options."""
    user = f"{parameters['user']}@" if parameters.get("user") else ""
    host = parameters.get("host") or parameters.get("hostaddr") or ""
    port = f":{parameters['port']}" if parameters.get("port") else ""
    service = f"?service={parameters['service']}" if parameters.get("service") else ""
    return f"postgresql://{user}{host}{port}/{parameters.get('dbname') or ''}{service}"
