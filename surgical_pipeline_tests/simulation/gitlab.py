"""GitLab as the simulation has it: the sandbox's world and API in this process, on virtual time."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from surgical_pipeline.sandbox import edits, edits_of_merge_requests, edits_of_notes
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.control_models import FaultSpec
from surgical_pipeline.sandbox.hooks.bodies import Announcement
from surgical_pipeline.sandbox.model import Entity, EntityKey, Sample, Viewer
from surgical_pipeline.sandbox.sample.people import rocket, sample_users
from surgical_pipeline.sandbox.server import create_app
from surgical_pipeline.sandbox.tokens import SANDBOX_GUEST_TOKEN, SANDBOX_TOKEN
from surgical_pipeline.sandbox.traffic import Traffic
from surgical_pipeline.sandbox.world import World
from surgical_pipeline_tests.simulation.processes import NOON
from surgical_pipeline_tests.simulation.schedule import Surroundings
from surgical_pipeline_tests.simulation.steps import Edit, Lag, Trouble

PROJECT = "acme/rocket"
LABELS = ("type::bug", "type::feature", "priority::1", "needs::decision")
_AUTHOR = "mira.okafor"
_FIRST_FREE_ID = 90_000_000
_OPEN_TO = edits.THROTTLE
"""So long after a change further ones may leave `updated_at` as it is, and are found all the same."""


@dataclass
class SimulatedGitLab:
    """``unannounced``: what changed in a way that neither list nor settle rule can show; a sweep finds it."""

    clock: Callable[[], datetime]
    surroundings: Surroundings
    unannounced: set[EntityKey] = field(default_factory=set)
    edited: float = 0.0
    """When the last edit was made, in seconds of the simulation."""
    _backup: dict[EntityKey, Entity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_app(_empty_sample(), clock=self.clock)
        self.world: World = self.app.state.world
        self.traffic: Traffic = self.app.state.traffic
        self.token = SANDBOX_GUEST_TOKEN if self.surroundings.guest else SANDBOX_TOKEN
        self.viewer: Viewer = self.app.state.viewers[self.token]
        behaviour = self.world.behaviour
        behaviour.largest_page = self.surroundings.page
        behaviour.keyset = self.surroundings.keyset
        [self.project_id] = self.world.projects
        for number in range(self.surroundings.issues):
            edits.create_issue(self.world, self.project_id, self._opened(f"Issue {number}", hours=30 - number))
        for number in range(self.surroundings.merge_requests):
            fields = self._opened(f"Merge request {number}", hours=20 - number)
            made = edits_of_merge_requests.create_merge_request(self.world, self.project_id, fields)
            edits_of_merge_requests.prepare(self.world, made.key)
        self.world.announced.clear()

    def _opened(self, title: str, *, hours: int) -> dict[str, Any]:
        at = format_instant(NOON - timedelta(hours=24 if self.surroundings.imported else hours))
        return {"title": title, "created_at": at, "updated_at": at}

    def existing(self) -> list[EntityKey]:
        """Of all that is there, in order."""
        return sorted(key for key in self.world.every_key() if self.world.find(*key) is not None)

    def visible(self) -> list[EntityKey]:
        """Of what the token may see."""
        sees_all = self.viewer.reads_confidential(self.project_id)
        return [key for key in self.existing() if sees_all or not self._found(key).confidential]

    def edit(self, step: Edit) -> list[Announcement]:
        """Do it, if there is something that it can be done to; gives what hooks have to say of it."""
        touched = _EDITS[step.what](self, step)
        self.edited = (self.clock() - NOON).total_seconds()
        for key in touched:
            self._note(key)
        announced, self.world.announced = self.world.announced, []
        return announced

    def lag(self, step: Lag) -> None:
        self.world.behaviour.replica_lag_seconds = step.seconds
        self.world.behaviour.replica_every = step.every

    def trouble(self, step: Trouble) -> None:
        """Refusals and broken answers are the sandbox's own faults; `network.py` breaks connections."""
        common: dict[str, Any] = {"path": "/api/*", "times": step.times, "skip": step.skip}
        match step.what:
            case "429":
                headers = {"Retry-After": str(int(step.seconds))}
                self.traffic.faults.add(FaultSpec(status=429, headers=headers, **common))
            case "500" | "502":
                self.traffic.faults.add(FaultSpec(status=int(step.what), **common))
            case "slow":
                self.traffic.faults.add(FaultSpec(delay_ms=int(step.seconds * 1000), **common))
            case "broken JSON":
                self.traffic.faults.add(FaultSpec(mangle="broken_json", **common))
            case "no connection":
                self.traffic.faults.add(FaultSpec(status=599, **common))

    def calm_down(self) -> None:
        """No more trouble, and no replica lags."""
        self.traffic.faults.clear()
        self.world.behaviour.replica_lag_seconds = 0

    def _note(self, key: EntityKey) -> None:
        entity = self.world.find(*key)
        if entity is not None and key in self.visible():
            fresh = self.clock() - datetime.fromisoformat(entity.payload["updated_at"]) < _OPEN_TO
            if fresh:
                self.unannounced.discard(key)
                return
        self.unannounced.add(key)

    def _found(self, key: EntityKey) -> Entity:
        entity = self.world.find(*key)
        if entity is None:
            raise AssertionError(f"{key} is not there")
        return entity

    def chosen(self, step: Edit, kind: str | None = None) -> EntityKey | None:
        keys = [key for key in self.existing() if kind in (None, key[1])]
        return keys[step.which % len(keys)] if keys else None

    def chosen_note(self, step: Edit) -> tuple[EntityKey, int] | None:
        notes = [(key, int(note["id"])) for key in self.existing() for note in self._found(key).notes()]
        return notes[step.which % len(notes)] if notes else None


def _empty_sample() -> Sample:
    project = rocket()
    return Sample(
        projects={project.project_id: project},
        entities={},
        links=(),
        closings=(),
        users=sample_users(),
        next_id=_FIRST_FREE_ID,
    )


# ---------------------------------------------------------------------- edits: each gives the keys that it touched

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
    threads = [None, *(str(one["id"]) for one in gitlab._found(key).discussions)]
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
    edits.update_entity(gitlab.world, key, {"confidential": not gitlab._found(key).confidential})
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
        if key[1] == "merge_request" and gitlab._found(key).payload["prepared_at"] is None:
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
    gitlab._backup = {key: _copy_of(gitlab._found(key)) for key in gitlab.existing()}
    return []


def _restore_backup(gitlab: SimulatedGitLab, step: Edit) -> Touched:
    """All of the project is as it was; what was made since is gone."""
    del step
    if not gitlab._backup:
        return []
    touched = [key for key in gitlab.existing() if key not in gitlab._backup]
    for key in touched:
        gitlab.world.vanish(key)
    for key, entity in gitlab._backup.items():
        gitlab.world.add(_copy_of(entity))
        touched.append(key)
    return touched


def _copy_of(entity: Entity) -> Entity:
    made = copy.deepcopy(entity)
    made.rendered.clear()
    return made


_EDITS: dict[str, Callable[[SimulatedGitLab, Edit], Touched]] = {
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


def asgi(gitlab: SimulatedGitLab) -> httpx.ASGITransport:
    """What answers requests to it."""
    return httpx.ASGITransport(app=gitlab.app)
