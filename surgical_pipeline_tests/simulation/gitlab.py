"""GitLab as the simulation has it: the sandbox's world and API in this process, on virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from surgical_pipeline.sandbox import edits, edits_of_merge_requests
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.control_models import FaultSpec
from surgical_pipeline.sandbox.hooks.bodies import Announcement
from surgical_pipeline.sandbox.model import Entity, EntityKey, Sample, Viewer
from surgical_pipeline.sandbox.sample.people import rocket, sample_users
from surgical_pipeline.sandbox.server import create_app
from surgical_pipeline.sandbox.tokens import SANDBOX_GUEST_TOKEN, SANDBOX_TOKEN
from surgical_pipeline.sandbox.traffic import Traffic
from surgical_pipeline.sandbox.world import World
from surgical_pipeline_tests.simulation.gitlab_edits import EDITS
from surgical_pipeline_tests.simulation.processes import NOON
from surgical_pipeline_tests.simulation.schedule import Surroundings
from surgical_pipeline_tests.simulation.steps import Edit, EditName, Lag, Trouble

PROJECT, GROUP, NEIGHBOUR = "acme/rocket", "acme", "acme/neighbour"
_FIRST_FREE_ID = 90_000_000
_OPEN_TO = edits.THROTTLE
"""So long after a change further ones may leave `updated_at` as it is, and are found all the same."""
_SHOWN: frozenset[EditName] = frozenset({"backdate", "delete_note"})
"""What an entity's own record shows even if its `updated_at` has not moved on."""


@dataclass
class SimulatedGitLab:
    """``unannounced``: what changed in a way that neither list nor settle rule can show; a sweep finds it.

    ``hidden``: those of them whose own record does not show it either, or that are gone; a deep sweep finds these.
    """

    clock: Callable[[], datetime]
    surroundings: Surroundings
    unannounced: set[EntityKey] = field(default_factory=set)
    hidden: set[EntityKey] = field(default_factory=set)
    edited: float = 0.0
    """When the last edit was made, in seconds of the simulation."""
    _neighbour: int | None = None
    """The id of another project of the group, of which hooks tell and for which nobody asks."""
    backup: dict[EntityKey, Entity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_app(_empty_sample(), clock=self.clock)
        self.world: World = self.app.state.world
        self.traffic: Traffic = self.app.state.traffic
        self.token = SANDBOX_GUEST_TOKEN if self.surroundings.guest else SANDBOX_TOKEN
        self.viewer: Viewer = self.app.state.viewers[self.token]
        behaviour = self.world.behaviour
        behaviour.largest_page = self.surroundings.page
        behaviour.keyset = self.surroundings.keyset
        if self.surroundings.pages is not None:
            behaviour.largest_offset = self.surroundings.pages * self.surroundings.page
        [self.project_id] = self.world.projects
        for number in range(self.surroundings.issues):
            edits.create_issue(self.world, self.project_id, self._opened(f"Issue {number}", hours=30 - number))
        for number in range(self.surroundings.merge_requests):
            fields = self._opened(f"Merge request {number}", hours=20 - number)
            made = edits_of_merge_requests.create_merge_request(self.world, self.project_id, fields)
            edits_of_merge_requests.prepare(self.world, made.key)
        if self.surroundings.hook != "project" and not self.surroundings.of_group:
            self._neighbour = self.world.create_project(NEIGHBOUR).project_id
            for kind in ("issue", "merge_request"):
                self._edit_neighbour(kind)
        self.world.announced.clear()

    def _edit_neighbour(self, kind: str) -> None:
        """Somebody opens something in another project of the group, under an IID that ours has, too."""
        if self._neighbour is None:
            return
        if kind == "issue":
            edits.create_issue(self.world, self._neighbour, {"title": "Elsewhere"})
        else:
            fields = {"title": "Elsewhere"}
            edits_of_merge_requests.create_merge_request(self.world, self._neighbour, fields)

    def _opened(self, title: str, *, hours: int) -> dict[str, Any]:
        at = format_instant(NOON - timedelta(hours=24 if self.surroundings.imported else hours))
        return {"title": title, "created_at": at, "updated_at": at}

    def existing(self) -> list[EntityKey]:
        """Of all that is there, in order."""
        ours = (key for key in self.world.every_key() if key[0] == self.project_id)
        return sorted(key for key in ours if self.world.find(*key) is not None)

    def visible(self) -> list[EntityKey]:
        """Of what the token may see."""
        sees_all = self.viewer.reads_confidential(self.project_id)
        return [key for key in self.existing() if sees_all or not self.found(key).confidential]

    def changed_at(self, at: datetime) -> list[EntityKey]:
        """Those whose `updated_at` is in that millisecond."""
        there = ((key, datetime.fromisoformat(self.found(key).payload["updated_at"])) for key in self.existing())
        return [key for key, updated_at in there if at <= updated_at < at + timedelta(milliseconds=1)]

    def edit(self, step: Edit) -> list[Announcement]:
        """Do it, if there is something that it can be done to; gives what hooks have to say of it."""
        touched = EDITS[step.what](self, step)
        self.edited = (self.clock() - NOON).total_seconds()
        for key in touched:
            self._note(key, shown=step.what in _SHOWN)
        if step.value % 3 == 0:
            self._edit_neighbour("issue" if step.value % 2 else "merge_request")
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

    def _note(self, key: EntityKey, *, shown: bool) -> None:
        entity = self.world.find(*key)
        if entity is not None and key in self.visible():
            fresh = self.clock() - datetime.fromisoformat(entity.payload["updated_at"]) < _OPEN_TO
            if fresh:
                self.unannounced.discard(key)
                self.hidden.discard(key)
                return
        if entity is None or key not in self.visible() or not shown:
            self.hidden.add(key)
        self.unannounced.add(key)

    def found(self, key: EntityKey) -> Entity:
        """One that is there."""
        entity = self.world.find(*key)
        if entity is None:
            raise AssertionError(f"{key} is not there")
        return entity

    def chosen(self, step: Edit, kind: str | None = None) -> EntityKey | None:
        keys = [key for key in self.existing() if kind in (None, key[1])]
        return keys[step.which % len(keys)] if keys else None

    def chosen_note(self, step: Edit) -> tuple[EntityKey, int] | None:
        notes = [(key, int(note["id"])) for key in self.existing() for note in self.found(key).notes()]
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


def asgi(gitlab: SimulatedGitLab) -> httpx.ASGITransport:
    """What answers requests to it."""
    return httpx.ASGITransport(app=gitlab.app)
