"""What people change in the simulated GitLab; each edit gives the keys that it touched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from surgical_pipeline.sandbox import edits, edits_of_merge_requests, edits_of_notes
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.model import Entity, EntityKey
from surgical_pipeline_tests.simulation.steps import Edit

if TYPE_CHECKING:
    from surgical_pipeline_tests.simulation.gitlab import SimulatedGitLab

LABELS = ("type::bug", "type::feature", "priority::1", "needs::decision")
_AUTHOR = "mira.okafor"

Touched = list[EntityKey]


def _update(gitlab: SimulatedGitLab, step: Edit, **fields: object) -> Touched:
    key = gitlab.chosen(step)
    if key is None:
        return []
    edits.update_entity(gitlab.world, key, dict(fields))
    return [key]


def _relabel(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    labels = [label for number, label in enumerate(LABELS) if step.value >> number & 1]
    return _update(gitlab, step, labels=labels)


def _close_or_reopen(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    return _update(gitlab, step, state="closed" if step.value % 2 else "opened")


def _note(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    key = gitlab.chosen(step)
    if key is None:
        return []
    threads = [None, *(str(one["id"]) for one in gitlab.found(key).discussions)]
    edits_of_notes.add_note(
        gitlab.world,
        key,
        body=f"Note {step.value}",
        username=_AUTHOR,
        discussion_id=threads[step.value % len(threads)],
        internal=False,
        bump=None,
    )
    return [key]


def _edit_note(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    found = gitlab.chosen_note(step)
    if found is None:
        return []
    edits_of_notes.edit_note(gitlab.world, found[1], body=f"Edited {step.value}", bump=None)
    return [found[0]]


def _delete_note(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    found = gitlab.chosen_note(step)
    if found is None:
        return []
    edits_of_notes.delete_note(gitlab.world, found[1])
    return [found[0]]


def _emoji(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    key = gitlab.chosen(step)
    if key is None:
        return []
    edits_of_notes.add_award(gitlab.world, key, name="rocket", username=_AUTHOR)
    return [key]


def _confidential(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    key = gitlab.chosen(step, "issue")
    if key is None:
        return []
    edits.update_entity(gitlab.world, key, {"confidential": not gitlab.found(key).confidential})
    return [key]


def _create_issue(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    made = edits.create_issue(gitlab.world, gitlab.project_id, {"title": f"New issue {step.value}"})
    return [made.key]


def _create_merge_request(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    fields = {"title": f"New merge request {step.value}"}
    return [edits_of_merge_requests.create_merge_request(gitlab.world, gitlab.project_id, fields).key]


def _prepare(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    """The oldest first; the settle rule looks at unprepared ones for an hour, whatever their `updated_at`."""
    del step
    for key in gitlab.existing():
        if key[1] == "merge_request" and gitlab.found(key).payload["prepared_at"] is None:
            edits_of_merge_requests.prepare(gitlab.world, key)
            return [key]
    return []


def _backdate(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    moment = gitlab.clock() - timedelta(minutes=2 + step.value)
    return _update(gitlab, step, title=f"Backdated {step.value}", updated_at=format_instant(moment))


def _delete(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    key = gitlab.chosen(step)
    if key is None or len(gitlab.existing()) == 1:
        return []
    gitlab.world.vanish(key)
    return [key]


def _back_up(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    del step
    gitlab.backup = {key: _copy_of(gitlab.found(key)) for key in gitlab.existing()}
    return []


def _restore_backup(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    """All of the project is as it was; what was made since is gone."""
    del step
    if not gitlab.backup:
        return []
    touched = [key for key in gitlab.existing() if key not in gitlab.backup]
    for key in touched:
        gitlab.world.vanish(key)
    for key, entity in gitlab.backup.items():
        gitlab.world.add(_copy_of(entity))
        touched.append(key)
    return touched


def _copy_of(entity: Entity) -> Entity:
    made = copy.deepcopy(entity)
    made.rendered.clear()
    return made


EDITS: dict[str, Callable[[SimulatedGitLab, Edit], Touched]] = {
    "retitle": lambda gitlab, step: _update(gitlab, step, title=f"Title {step.value}"),
    "describe": lambda gitlab, step: _update(gitlab, step, description=f"Text {step.value}\n\n- [ ] to do"),
    "relabel": _relabel,
    "close_or_reopen": _close_or_reopen,
    "note": _note,
    "edit_note": _edit_note,
    "delete_note": _delete_note,
    "emoji": _emoji,
    "confidential": _confidential,
    "create_issue": _create_issue,
    "create_merge_request": _create_merge_request,
    "prepare": _prepare,
    "backdate": _backdate,
    "delete": _delete,
    "back_up": _back_up,
    "restore_backup": _restore_backup,
}
