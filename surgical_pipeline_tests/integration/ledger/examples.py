"""Records as preflight, dependents and docs make them, with values that tests need not care about."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.records import (
    DependentSet,
    DiscussionRecord,
    DocumentRecord,
    EntityRecord,
    LinkedRecord,
    NoteRecord,
    ProjectRecord,
    ResourceEventRecord,
)
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.postgres.transaction import PostgresTransaction
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder

PROJECT = ProjectRecord(project_id=7, path="acme/rocket", payload='{"id": 7}')
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MODEL = "toy-model"

AnyLedger = DuckDBLedger | PostgresLedger
"""Where a test may look inside a window itself."""


def run_sql(tx: Transaction, statement: str, **params: object) -> None:
    """A statement that the package does not have: how a test plants what the package would never write."""
    _executed(tx, statement, params)


def read_sql(tx: Transaction, statement: str, **params: object) -> list[tuple[Any, ...]]:
    """The same for looking, on either database: parameters as ``$name``, ``ORDER BY ALL``, ``* EXCLUDE``."""
    return _executed(tx, statement, params)


def of_another_process(ledger: AnyLedger) -> AnyLedger:
    """The same ledger as a process has it that shares nothing with this one."""
    return DuckDBLedger(ledger.path) if isinstance(ledger, DuckDBLedger) else PostgresLedger(ledger.address)


def columns_of(tx: Transaction, table: str) -> list[str]:
    """The names of a table's or view's columns, in their order."""
    named = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = $table AND table_schema = 'main'"
    )
    return [str(row[0]) for row in read_sql(tx, f"{named} ORDER BY ordinal_position", table=table)]


def _executed(tx: Transaction, statement: str, params: dict[str, object]) -> list[tuple[Any, ...]]:
    if isinstance(tx, PostgresTransaction):
        text = _STARRED.sub(lambda found: _columns(tx, found), statement).removesuffix(" ORDER BY ALL")
        cursor = tx.connection.execute(re.sub(r"\$(\w+)", r"%(\1)s", text), params or None)
        rows = [] if cursor.description is None else cursor.fetchall()
        return rows if text in statement and statement.endswith(text) else sorted(rows, key=repr)
    assert isinstance(tx, DuckDBTransaction)
    return tx.connection.execute(statement, params or None).fetchall()


_STARRED = re.compile(r"\* (?P<what>REPLACE|EXCLUDE) \((?P<those>.*?)\) FROM (?P<table>\w+)")


def _columns(tx: PostgresTransaction, found: re.Match[str]) -> str:
    """The columns of a table, which only DuckDB can name by what is different."""
    names = columns_of(tx, found["table"])
    those = re.findall(r"(?:(.+?) AS )?(\w+)(?:, |$)", found["those"])
    values = {name: value for value, name in those}
    if found["what"] == "EXCLUDE":
        return f"{', '.join(name for name in names if name not in values)} FROM {found['table']}"
    return f"{', '.join(values.get(name, name) for name in names)} FROM {found['table']}"


def at(seconds: float) -> datetime:
    """A moment so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def issue(iid: int) -> EntityKey:
    return EntityKey(EntityType.ISSUE, iid)


def merge_request(iid: int) -> EntityKey:
    return EntityKey(EntityType.MERGE_REQUEST, iid)


def issue_event(key: str, iid: int) -> GitLabEvent:
    """What a hook of the project announces."""
    return GitLabEvent(
        key=key, kind="issue", project_id=7, project_path="acme/rocket", entity=issue(iid), received_at=NOON
    )


class HandClock:
    """A clock that stands until it is moved on."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def start(
    ledger: Ledger, run_id: str, scope: str = "acme/rocket#1+2!3", clock: HandClock | None = None
) -> SyncRunRecorder:
    """A running run of that scope whose project is known."""
    recorder = SyncRunRecorder(ledger, run_id, clock=clock or HandClock())
    recorder.start_surgical(Scope.parse(scope), mode=RunMode.SURGICAL, trigger=Trigger.CLI)
    recorder.set_project(PROJECT.project_id, PROJECT.path)
    return recorder


def entity(
    key: EntityKey, *, updated: float = 0, fetched: float = 100, title: str = "Engine", project_id: int = 7
) -> EntityRecord:
    is_issue = key.entity_type is EntityType.ISSUE
    return EntityRecord(
        key=key,
        project_id=project_id,
        gitlab_id=1000 + key.iid,
        title=title,
        state="opened",
        updated_at=at(updated),
        fetched_at=at(fetched),
        payload=f'{{"iid": {key.iid}, "title": "{title}"}}',
        moved_to_id=42 if is_issue else None,
        sha=None if is_issue else "c0ffee",
        target_branch=None if is_issue else "main",
        target_project_id=None if is_issue else project_id,
    )


def note(note_id: int, position: int = 0, text: str = "hello") -> NoteRecord:
    return NoteRecord(
        note_id=note_id,
        position=position,
        author="ada",
        system=False,
        internal=False,
        created_at=at(note_id),
        updated_at=None,
        payload=f'{{"id": {note_id}, "body": "{text}"}}',
    )


def discussion(discussion_id: str, *notes: NoteRecord, position: int = 0) -> DiscussionRecord:
    return DiscussionRecord(
        discussion_id=discussion_id,
        position=position,
        individual_note=len(notes) == 1,
        payload=f'{{"id": "{discussion_id}"}}',
        notes=notes,
    )


def discussions(key: EntityKey, *records: DiscussionRecord, fetched: float = 100) -> DependentSet:
    return DependentSet(key, Dependent.DISCUSSIONS, at(fetched), records)


def events(key: EntityKey, dependent: Dependent, ids: Sequence[int], *, fetched: float = 100) -> DependentSet:
    records = tuple(ResourceEventRecord(one, at(one), f'{{"id": {one}}}') for one in ids)
    return DependentSet(key, dependent, at(fetched), records)


def linked(
    key: EntityKey, dependent: Dependent, ids: Sequence[str], *, fetched: float = 100, version: str | None = None
) -> DependentSet:
    records = tuple(LinkedRecord(one, position, f'{{"id": "{one}"}}') for position, one in enumerate(ids))
    return DependentSet(key, dependent, at(fetched), records, version)


def document(
    document_id: str, key: EntityKey, *, content: str = "text", confidential: bool = False, internal: bool = False
) -> DocumentRecord:
    return DocumentRecord(
        document_id=document_id,
        kind=str(key.entity_type),
        key=key,
        title=f"Title of {document_id}",
        content=content,
        content_hash=f"hash of {content}",
        web_url=f"https://gitlab.test/{document_id}",
        state="opened",
        labels=("bug", "ui"),
        author="ada",
        confidential=confidential,
        internal=internal,
        created_at=at(1),
        updated_at=at(2),
    )
