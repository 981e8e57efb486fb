"""Whether a ledger holds what a sandbox holds: the question that every test of events ends with."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from surgical_pipeline.sandbox.tokens import SANDBOX_TOKEN
from surgical_pipeline_tests.ledger_dump import Row, query

Key = tuple[str, int]
Query = Callable[[str], list[Row]]

PLURALS = {"issue": "issues", "merge_request": "merge_requests"}
EVENTS = {"label_events": "resource_label_events", "state_events": "resource_state_events"}
_PAGE = 100


def differences(
    ledger: Path, sandbox_url: str, *, project: str = "acme/rocket", expected: Iterable[Key] = ()
) -> list[str]:
    """What the ledger has otherwise than the sandbox, as sentences; empty: they are equal.

    Every entity that the ledger has of the project is compared: title, state, labels, `updated_at` and every other
    field of its payload; the notes by id and body, and that deleted ones are gone; label and state events. What
    the sandbox has no more must be marked in the ledger as missed or deleted. What the ledger does not have is no
    difference, unless it is among `expected` (pairs such as `("issue", 12)`).
    """
    with httpx.Client(
        base_url=f"{sandbox_url}/api/v4", headers={"PRIVATE-TOKEN": SANDBOX_TOKEN}, timeout=30, trust_env=False
    ) as api:
        found = differences_of(partial(query, ledger), api, project=project, expected=expected)
    return [f"{_name(key)}{text}" for key, text in found]


def differences_of(
    ledger: Query, api: httpx.Client, *, project: str = "acme/rocket", expected: Iterable[Key] = ()
) -> list[tuple[Key, str]]:
    """The same of any ledger and API: each difference with its entity. ``ledger`` gives the rows of a query."""
    shown = api.get(f"/projects/{project.replace('/', '%2F')}").raise_for_status().json()
    project_id = int(shown["id"])
    stored = _stored(ledger, project_id)
    found = [(key, " is not in the ledger") for key in expected if key not in stored]
    for kind, plural in PLURALS.items():
        wanted = {key[1]: row for key, row in stored.items() if key[0] == kind}
        there = _listed(api, project_id, kind, sorted(wanted))
        notes, events = _notes(ledger, project_id, kind), _events(ledger, project_id, kind)
        for iid, (payload, live) in wanted.items():
            key = (kind, iid)
            if iid not in there:
                found += [(key, " is gone, but live in the ledger")] * live
            elif not live:
                found.append((key, " is there, but missed or deleted in the ledger"))
            else:
                base = f"/projects/{project_id}/{plural}/{iid}"
                found += [
                    (key, f": {text}")
                    for text in (
                        *_unequal_fields(payload, there[iid]),
                        *_unequal_notes(notes.get(iid, {}), _rows(api, f"{base}/notes")),
                        *_unequal_events(api, base, events.get(iid, {})),
                    )
                ]
    return found


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"


def _stored(ledger: Query, project_id: int) -> dict[Key, tuple[dict[str, Any], bool]]:
    """The payload of each entity, and whether it is live."""
    rows = ledger(
        "SELECT entity_type, iid, payload, title, state, missed_at IS NULL AND deleted_at IS NULL FROM entities "
        f"WHERE project_id = {project_id}",
    )
    return {
        (str(kind), int(str(iid))): (json.loads(str(text)) | {"title": title, "state": state}, bool(live))
        for kind, iid, text, title, state, live in rows
    }


def _notes(ledger: Query, project_id: int, kind: str) -> dict[int, dict[int, str]]:
    rows = ledger(
        "SELECT noteable_iid, note_id, payload FROM notes "
        f"WHERE project_id = {project_id} AND noteable_type = '{kind}'",
    )
    found: dict[int, dict[int, str]] = {}
    for iid, note_id, text in rows:
        found.setdefault(int(str(iid)), {})[int(str(note_id))] = str(json.loads(str(text))["body"])
    return found


def _events(ledger: Query, project_id: int, kind: str) -> dict[int, dict[str, set[int]]]:
    rows = ledger(
        "SELECT noteable_iid, event_type, event_id FROM resource_events "
        f"WHERE project_id = {project_id} AND noteable_type = '{kind}'",
    )
    found: dict[int, dict[str, set[int]]] = {}
    for iid, event_type, event_id in rows:
        found.setdefault(int(str(iid)), {}).setdefault(str(event_type), set()).add(int(str(event_id)))
    return found


def _listed(api: httpx.Client, project_id: int, kind: str, iids: list[int]) -> dict[int, dict[str, Any]]:
    """The rows of the sandbox's own list, by IID; merge requests past the cache of their list."""
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(iids), _PAGE):
        query_of_list: dict[str, Any] = {"iids[]": iids[start : start + _PAGE], "with_labels_details": "true"}
        rows = _rows(api, f"/projects/{project_id}/{PLURALS[kind]}", **query_of_list)
        found |= {int(row["iid"]): row for row in rows}
    return found


def _rows(api: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = "1"
    while page:
        named: dict[str, Any] = {"per_page": _PAGE, "page": page, **params}
        answer = api.get(path, params=named).raise_for_status()
        found += answer.json()
        page = answer.headers.get("x-next-page", "")
    return found


def _unequal_fields(stored: dict[str, Any], there: dict[str, Any]) -> Iterator[str]:
    """Fields of lists alone: a payload of a single answer has more. Labels are compared by their names."""
    for name, value in there.items():
        ours, theirs = stored.get(name), value
        if name == "labels":
            ours, theirs = _label_names(ours), _label_names(theirs)
        if ours != theirs:
            yield f"{name} is {_short(ours)}, in the sandbox {_short(theirs)}"


def _label_names(labels: Any) -> list[str]:
    return [label if isinstance(label, str) else str(label["name"]) for label in labels or []]


def _unequal_notes(stored: dict[int, str], there: list[dict[str, Any]]) -> Iterator[str]:
    bodies = {int(note["id"]): str(note["body"]) for note in there}
    for note_id in sorted(stored.keys() - bodies.keys()):
        yield f"note {note_id} was deleted, but is in the ledger"
    for note_id in sorted(bodies.keys() - stored.keys()):
        yield f"note {note_id} is not in the ledger"
    for note_id in sorted(bodies.keys() & stored.keys()):
        if bodies[note_id] != stored[note_id]:
            yield f"note {note_id} is {_short(stored[note_id])}, in the sandbox {_short(bodies[note_id])}"


def _unequal_events(api: httpx.Client, base: str, stored: dict[str, set[int]]) -> Iterator[str]:
    for event_type, path in EVENTS.items():
        there = {int(event["id"]) for event in _rows(api, f"{base}/{path}")}
        ours = stored.get(event_type, set())
        if ours != there:
            yield f"{event_type} lack {sorted(there - ours)} and have {sorted(ours - there)} too many"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
