"""What each tool stored, in one shape, so that it can be said whether all did the same work."""

from pathlib import Path

import duckdb

Rows = dict[str, list[tuple[object, ...]]]

_OURS = {
    "issues": "SELECT gitlab_id, iid, title, state, epoch_ms(updated_at) FROM issues WHERE deleted_at IS NULL",
    "notes": "SELECT note_id, payload ->> 'body', epoch_ms(updated_at) FROM notes",
    "events": "SELECT event_type, event_id, epoch_ms(created_at) FROM resource_events",
}
_DLT = {
    "issues": "SELECT id, iid, title, state, epoch_ms(updated_at) FROM gitlab.issues",
    "notes": "SELECT id, body, epoch_ms(updated_at) FROM gitlab.discussions__notes",
    "events": " UNION ALL ".join(
        f"SELECT '{kind}', id, epoch_ms(created_at) FROM gitlab.resource_{kind}"
        for kind in ("label_events", "state_events", "milestone_events")
    ),
}
_SCRIPT = {
    "issues": "SELECT id, iid, title, state, epoch_ms(updated_at) FROM issues",
    "notes": "SELECT id, body, epoch_ms(updated_at) FROM notes",
    "events": "SELECT kind, id, epoch_ms(created_at) FROM events",
}


def of_ours(ledger: Path) -> Rows:
    return _read(ledger, _OURS)


def of_dlt(database: Path) -> Rows:
    return _read(database, _DLT)


def of_script(database: Path) -> Rows:
    return _read(database, _SCRIPT)


def _read(path: Path, queries: dict[str, str]) -> Rows:
    """Sorted; a table that was never made because nothing came for it has no rows."""
    with duckdb.connect(str(path), read_only=True) as connection:
        found: Rows = {}
        for name, query in queries.items():
            try:
                found[name] = sorted(connection.execute(query).fetchall(), key=repr)
            except duckdb.CatalogException:
                found[name] = []
    return found


def must_be_equal(rows: dict[str, Rows]) -> None:
    """Compare all with the first.

    Raises:
        SystemExit: a tool stored something else; the message says what.
    """
    (first, expected), *others = rows.items()
    for name, found in others:
        for table in expected:
            if found[table] != expected[table]:
                differing = set(map(repr, found[table])) ^ set(map(repr, expected[table]))
                raise SystemExit(
                    f"{table}: {name} stored {len(found[table])} rows and {first} {len(expected[table])}, "
                    f"of which {len(differing)} differ, such as {sorted(differing)[:3]}"
                )
