"""What documents are rendered from, read in one window; and the documents, written in a later one.

Between the two the source may change. Its ``version``, taken when reading, is compared when writing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.columns import columns, key_columns, key_of
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.payloads import storable_text
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.search_index import index_documents

_LABEL_SEPARATOR = "\x1f"
_REFERENCES = frozenset({Dependent.LINKS, Dependent.CLOSED_BY, Dependent.CLOSES_ISSUES})


@dataclass(frozen=True, slots=True)
class StoredDiscussion:
    """A discussion's payload and those of its notes, in GitLab's order."""

    discussion_id: str
    payload: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntitySource:
    """All that an entity's documents are rendered from; payloads are JSON texts.

    ``version`` can only be compared for equality; events are in the order in which they happened; ``existing`` has
    the content hash of each live document of the entity by document id, unless it lacks vectors of that text: a
    document that a dead embedder or a kill left without them counts as missing and is made and embedded again.
    """

    key: EntityKey
    project_id: int
    project_path: str
    payload: str
    deleted: bool
    discussions: tuple[StoredDiscussion, ...]
    label_events: tuple[str, ...]
    state_events: tuple[str, ...]
    milestone_events: tuple[str, ...]
    links: tuple[str, ...]
    closed_by: tuple[str, ...]
    closes_issues: tuple[str, ...]
    version: str
    existing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EntityDocuments:
    """The documents made from an entity's source of ``source_version``: new or changed ones, and the others."""

    key: EntityKey
    source_version: str
    regenerated: tuple[DocumentRecord, ...]
    unchanged: tuple[DocumentRecord, ...] = ()


def load_sources(tx: Transaction, project_id: int, keys: Collection[EntityKey]) -> list[EntitySource]:
    """The sources of these entities, issues first, each by IID; what the ledger does not have is left out."""
    entities = tx.rows("load_source_entities", project_id=project_id, **key_columns(keys))
    fetches = _grouped(tx, "load_dependent_fetches", project_id, keys)
    versions = _versions(entities, fetches)
    # A query costs milliseconds in which others wait, even if it finds nothing.
    held = {Dependent[row["dependent"].upper()] for rows in fetches.values() for row in rows if row["row_count"]}
    discussions = _discussions(tx, project_id, keys) if Dependent.DISCUSSIONS in held else {}
    events = _grouped(tx, "load_source_events", project_id, keys if held & EVENT_DEPENDENTS else ())
    references = _grouped(tx, "load_source_references", project_id, keys if held & _REFERENCES else ())
    existing = _grouped(tx, "load_complete_documents", project_id, keys)
    return [
        EntitySource(
            key=key,
            project_id=project_id,
            project_path=row["path"] or str(project_id),
            payload=row["payload"],
            deleted=row["deleted_at"] is not None,
            discussions=discussions.get(key, ()),
            label_events=_payloads_of(events[key], Dependent.LABEL_EVENTS),
            state_events=_payloads_of(events[key], Dependent.STATE_EVENTS),
            milestone_events=_payloads_of(events[key], Dependent.MILESTONE_EVENTS),
            links=_payloads_of(references[key], Dependent.LINKS),
            closed_by=_payloads_of(references[key], Dependent.CLOSED_BY),
            closes_issues=_payloads_of(references[key], Dependent.CLOSES_ISSUES),
            version=versions[key],
            existing={document["document_id"]: document["content_hash"] for document in existing[key]},
        )
        for key, row in ((key_of(row), row) for row in entities)
    ]


def write_documents(
    tx: Transaction, run_id: str, project_id: int, batch: Sequence[EntityDocuments]
) -> frozenset[EntityKey]:
    """Write the regenerated documents; tombstone those that their entities no longer have, and drop their vectors.

    For an unchanged document, only its address and ``updated_at`` are updated, which are not in its text. Returns
    the keys whose source changed or disappeared since it was read: nothing of theirs was written. Of two entries
    for one entity the later counts.
    """
    distinct = {entry.key: entry for entry in batch}
    versions = _versions(
        tx.rows("load_entity_versions", project_id=project_id, **key_columns(distinct)),
        _grouped(tx, "load_dependent_fetches", project_id, distinct),
    )
    valid = {key: entry for key, entry in distinct.items() if versions.get(key) == entry.source_version}
    documents = {document.document_id: document for entry in valid.values() for document in entry.regenerated}
    if documents:
        _upsert(tx, run_id, project_id, documents)
        index_documents(tx, list(documents))
    unchanged = {document.document_id: document for entry in valid.values() for document in entry.unchanged}
    if unchanged:
        rows = [(one.document_id, one.web_url, one.updated_at) for one in unchanged.values()]
        names = ("document_id", "web_url", "updated_at")
        tx.execute("refresh_documents", run_id=run_id, **columns(rows, *names))
    if valid:
        _tombstone_stale(tx, run_id, project_id, valid)
    return frozenset(distinct.keys() - valid.keys())


def _upsert(tx: Transaction, run_id: str, project_id: int, documents: Mapping[str, DocumentRecord]) -> None:
    written = tx.column(
        "upsert_documents", run_id=run_id, project_id=project_id, **_document_columns(documents.values())
    )
    if refused := sorted(documents.keys() - set(written)):
        raise LedgerError(f"the documents {', '.join(refused[:3])} belong to other entities: nothing was written")


def _tombstone_stale(
    tx: Transaction, run_id: str, project_id: int, entries: Mapping[EntityKey, EntityDocuments]
) -> None:
    kept = {one.document_id for entry in entries.values() for one in (*entry.regenerated, *entry.unchanged)}
    stale = tx.column(
        "find_stale_documents",
        project_id=project_id,
        kept_document_ids=sorted(kept),
        **key_columns(entries),
    )
    if stale:
        tx.execute("tombstone_documents", run_id=run_id, deleted_at=tx.now, document_ids=stale)
        tx.execute("delete_embeddings", document_ids=stale)


def _versions(
    entities: Iterable[Mapping[str, Any]], fetches: Mapping[EntityKey, Sequence[Mapping[str, Any]]]
) -> dict[EntityKey, str]:
    """Changes whenever anything that documents are made of is written, or the entity is tombstoned or revived.

    Discussions, events and references are written only together with their row in ``dependent_fetches``.
    """
    versions = {}
    for row in entities:
        key = key_of(row)
        parts = sorted(f"{fetch['dependent']}={fetch['fetched_at'].isoformat()}" for fetch in fetches.get(key, ()))
        state = "deleted" if row["deleted_at"] is not None else "live"
        versions[key] = "|".join([state, row["path"] or "", row["fetched_at"].isoformat(), *parts])
    return versions


def _discussions(
    tx: Transaction, project_id: int, keys: Collection[EntityKey]
) -> dict[EntityKey, tuple[StoredDiscussion, ...]]:
    notes: dict[tuple[EntityKey, str], list[str]] = defaultdict(list)
    for row in tx.rows("load_source_notes", project_id=project_id, **key_columns(keys)):
        notes[key_of(row), row["discussion_id"]].append(row["payload"])
    return {
        key: tuple(
            StoredDiscussion(row["discussion_id"], row["payload"], tuple(notes[key, row["discussion_id"]]))
            for row in rows
        )
        for key, rows in _grouped(tx, "load_source_discussions", project_id, keys).items()
    }


def _grouped(
    tx: Transaction, query_name: str, project_id: int, keys: Collection[EntityKey]
) -> defaultdict[EntityKey, list[dict[str, Any]]]:
    grouped: defaultdict[EntityKey, list[dict[str, Any]]] = defaultdict(list)
    if not keys:
        return grouped
    for row in tx.rows(query_name, project_id=project_id, **key_columns(keys)):
        grouped[key_of(row)].append(row)
    return grouped


def _payloads_of(rows: Iterable[Mapping[str, Any]], dependent: Dependent) -> tuple[str, ...]:
    return tuple(row["payload"] for row in rows if row["dependent"] == dependent)


def _document_columns(documents: Iterable[DocumentRecord]) -> dict[str, list[Any]]:
    rows = [
        (
            document.document_id,
            document.kind,
            str(document.key.entity_type),
            document.key.iid,
            document.discussion_id,
            storable_text(document.title),
            storable_text(document.content),
            document.content_hash,
            document.web_url,
            document.state,
            storable_text(_LABEL_SEPARATOR.join(document.labels)),
            None if document.author is None else storable_text(document.author),
            document.confidential,
            document.internal,
            document.created_at,
            document.updated_at,
        )
        for document in documents
    ]
    return columns(
        rows,
        "document_id",
        "kind",
        "entity_type",
        "iid",
        "discussion_id",
        "title",
        "content",
        "content_hash",
        "web_url",
        "state",
        "labels",
        "author",
        "confidential",
        "internal",
        "created_at",
        "updated_at",
    )
