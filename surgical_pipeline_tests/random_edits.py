"""Some hundred edits of a sandbox as people make them: the same ones for the same seed and sandbox.

They are what event sensors have to keep up with. Some are told by a hook alone or by nothing: an emoji and the
deletion of a note move no `updated_at`, and the deletion sends no hook. So that a store can be asked to equal the
sandbox in the end, such edits are made only to entities whose `updated_at` is fresh (`told_within`): the settle
rule fetches these once more.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from surgical_pipeline.sandbox.control_client import SandboxControl

Kind = Literal["issue", "merge_request"]

LABELS = ("type::bug", "type::feature", "priority::1", "priority::2", "component::flight", "needs::decision")
ISSUES = (12, 13, 14, 15, 16, 17, 18, 19)
MERGE_REQUESTS = (34, 35, 36, 37)


@dataclass(frozen=True)
class Edit:
    """One edit that was made; `what` is the method of the table below that made it."""

    what: str
    kind: Kind
    iid: int


@dataclass
class RandomEdits:
    """Makes edits through the control client, and keeps what it made.

    Args:
        control: of the sandbox to edit.
        seed: of every choice.
        project: path or id; the sample's first by default.
        iids: what exists and is edited, beside what is created on the way.
        told_within: how fresh the `updated_at` of an entity must be for edits that do not move it; None: any.
        deletions: whether issues are deleted, too; they are not restored.
        clock: the sandbox's.
    """

    control: SandboxControl
    seed: int
    project: str | None = None
    iids: dict[Kind, list[int]] = field(
        default_factory=lambda: {"issue": list(ISSUES), "merge_request": list(MERGE_REQUESTS)}
    )
    told_within: timedelta | None = field(default=timedelta(seconds=55))
    deletions: bool = False
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(tz=UTC))
    made: list[Edit] = field(default_factory=list)
    deleted_notes: list[int] = field(default_factory=list)
    deleted_issues: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._notes: dict[int, tuple[Kind, int, str]] = {}
        self._updated_at: dict[tuple[Kind, int], datetime] = {}
        self._actions: list[tuple[int, Callable[[], Edit | None]]] = [
            (6, self.retitle),
            (8, self.relabel),
            (3, self.close_or_reopen),
            (8, self.note),
            (4, self.edit_note),
            (4, self.delete_note),
            (2, self.create_issue),
            (1, self.create_merge_request),
            (2, self.emoji),
            (1 if self.deletions else 0, self.delete_issue),
        ]

    def make(self, count: int, *, pause_seconds: float = 0) -> list[Edit]:
        """So many edits, each after a random pause of twice `pause_seconds` at most; returns what was made."""
        start = len(self.made)
        weights, actions = zip(*self._actions, strict=True)
        while len(self.made) < start + count:
            [action] = self._random.choices(actions, weights)
            edit = action()
            if edit is None:  # there is nothing that it could be done to
                continue
            self.made.append(edit)
            if pause_seconds:
                time.sleep(self._random.uniform(0, 2 * pause_seconds))
        return self.made[start:]

    def expected(self) -> set[tuple[str, int]]:
        """What was edited or created and is still there: at rest a store that keeps up has all of it."""
        expected: set[tuple[str, int]] = {(edit.kind, edit.iid) for edit in self.made}
        return expected - {("issue", iid) for iid in self.deleted_issues}

    def counts(self) -> Counter[str]:
        return Counter(edit.what for edit in self.made)

    # ------------------------------------------------------------------ edits

    def retitle(self) -> Edit:
        kind, iid = self._one()
        self._update(kind, iid, title=f"Title {self._random.randrange(10**9)}")
        return Edit("retitle", kind, iid)

    def relabel(self) -> Edit:
        kind, iid = self._one()
        self._update(kind, iid, labels=sorted(self._random.sample(LABELS, self._random.randrange(4))))
        return Edit("relabel", kind, iid)

    def close_or_reopen(self) -> Edit:
        kind, iid = self._one()
        self._update(kind, iid, state=self._random.choice(("opened", "closed")))
        return Edit("close_or_reopen", kind, iid)

    def note(self) -> Edit:
        kind, iid = self._one()
        body = f"Note {self._random.randrange(10**9)}"
        threads = sorted(
            {thread for where, number, thread in self._notes.values() if (where, number) == (kind, iid)}
        )
        thread = self._random.choice([None, *threads])
        added = self.control.add_note(iid, body, kind=kind, discussion_id=thread, project=self.project)
        self._notes[int(added.note["id"])] = (kind, iid, added.discussion_id)
        self._touched(kind, iid)
        return Edit("note", kind, iid)

    def edit_note(self) -> Edit | None:
        if not self._notes:
            return None
        note_id = self._random.choice(sorted(self._notes))
        kind, iid, _ = self._notes[note_id]
        self.control.edit_note(note_id, f"Edited {self._random.randrange(10**9)}")
        self._touched(kind, iid)
        return Edit("edit_note", kind, iid)

    def delete_note(self) -> Edit | None:
        fresh = [note for note, (kind, iid, _) in sorted(self._notes.items()) if self._is_fresh(kind, iid)]
        if not fresh:
            return None
        note_id = self._random.choice(fresh)
        kind, iid, _ = self._notes.pop(note_id)
        self.control.delete_note(note_id)
        self.deleted_notes.append(note_id)
        return Edit("delete_note", kind, iid)

    def create_issue(self) -> Edit:
        title = f"New issue {self._random.randrange(10**9)}"
        created = self.control.create_issue(project=self.project, title=title, labels=["type::bug"])
        return self._created("create_issue", "issue", created)

    def create_merge_request(self) -> Edit:
        title = f"New merge request {self._random.randrange(10**9)}"
        created = self.control.create_merge_request(project=self.project, title=title)
        self.control.prepare(created["iid"], project=self.project)
        return self._created("create_merge_request", "merge_request", created)

    def emoji(self) -> Edit | None:
        fresh = [one for one in self._every() if self._is_fresh(*one)]
        if not fresh:
            return None
        kind, iid = self._random.choice(fresh)
        name = self._random.choice(("thumbsup", "rocket", "eyes"))
        self.control.add_award(iid, name, kind=kind, project=self.project)
        return Edit("emoji", kind, iid)

    def delete_issue(self) -> Edit | None:
        issues = self.iids["issue"]
        if len(issues) < 2:
            return None
        iid = self._random.choice(issues)
        issues.remove(iid)
        self._notes = {note: at for note, at in self._notes.items() if at[:2] != ("issue", iid)}
        self.control.delete_issue(iid, project=self.project)
        self.deleted_issues.append(iid)
        return Edit("delete_issue", "issue", iid)

    # ------------------------------------------------------------------ what it keeps

    def _every(self) -> list[tuple[Kind, int]]:
        return [(kind, iid) for kind, iids in self.iids.items() for iid in iids]

    def _one(self) -> tuple[Kind, int]:
        return self._random.choice(self._every())

    def _update(self, kind: Kind, iid: int, **fields: Any) -> None:
        update = self.control.update_issue if kind == "issue" else self.control.update_merge_request
        payload = update(iid, project=self.project, **fields)
        self._updated_at[kind, iid] = datetime.fromisoformat(payload["updated_at"])

    def _touched(self, kind: Kind, iid: int) -> None:
        """By a note: GitLab moves `updated_at` only when it is a minute old."""
        now, before = self.clock(), self._updated_at.get((kind, iid))
        if before is None or now - before >= timedelta(seconds=60):
            self._updated_at[kind, iid] = now

    def _created(self, what: str, kind: Kind, payload: dict[str, Any]) -> Edit:
        iid = int(payload["iid"])
        self.iids[kind].append(iid)
        self._updated_at[kind, iid] = datetime.fromisoformat(payload["updated_at"])
        return Edit(what, kind, iid)

    def _is_fresh(self, kind: Kind, iid: int) -> bool:
        if self.told_within is None:
            return True
        moved = self._updated_at.get((kind, iid))
        return moved is not None and self.clock() - moved < self.told_within
