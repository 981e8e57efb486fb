"""Rendered JSON, once for each entity and once for each of its collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgical_pipeline.sandbox.model import Entity, Fragments, Json, Project, render

if TYPE_CHECKING:
    from collections.abc import Callable


def list_fragment(entity: Entity, project: Project, *, details: bool) -> bytes:
    """The entity as in lists; `details` gives its labels in full (`with_labels_details=true`)."""
    cached = entity.rendered.get(("list", details))
    if cached is None:
        payload = entity.payload
        if details:
            payload = payload | {"labels": [project.detailed_label(name) for name in payload["labels"]]}
        cached = entity.rendered["list", details] = render(payload)
    return bytes(cached)


def single_fragment(entity: Entity) -> bytes:
    cached = entity.rendered.get(("single", False))
    if cached is None:
        cached = entity.rendered["single", False] = render(entity.payload | entity.single)
    return bytes(cached)


def collection(entity: Entity, name: str, *, everything: bool) -> Fragments:
    """The rendered rows of a collection in GitLab's order; None in place of internal notes that are hidden."""
    cached: Fragments | None = entity.rendered.get((name, everything))
    if cached is None:
        cached = _RENDERERS[name](entity, everything)
        entity.rendered[name, everything] = cached
    return cached


def _discussions(entity: Entity, everything: bool) -> Fragments:
    rows: Fragments = []
    for discussion in entity.discussions:
        notes = [note for note in discussion["notes"] if everything or not note["internal"]]
        rows.append(render(discussion | {"notes": notes}) if notes else None)
    return rows


def _notes(entity: Entity, everything: bool) -> Fragments:
    notes = sorted(entity.notes(), key=lambda note: (note["created_at"], note["id"]))
    return [render(note) if everything or not note["internal"] else None for note in notes]


def _plain(field: str) -> Callable[[Entity, bool], Fragments]:
    def rows(entity: Entity, _everything: bool) -> Fragments:
        values: list[Json] = getattr(entity, field)
        return [render(value) for value in values]

    return rows


_RENDERERS: dict[str, Callable[[Entity, bool], Fragments]] = {
    "discussions": _discussions,
    "notes": _notes,
    "resource_label_events": _plain("label_events"),
    "resource_state_events": _plain("state_events"),
    "resource_milestone_events": _plain("milestone_events"),
    "award_emoji": _plain("awards"),
    "commits": _plain("commits"),
    "diffs": _plain("diffs"),
}
