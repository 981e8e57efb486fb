"""From a story to an entity: people, dates, threads, events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from surgical_pipeline.sandbox import payloads
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.model import Entity, Json, Project
from surgical_pipeline.sandbox.sample import code
from surgical_pipeline.sandbox.sample.people import ENGINEERS
from surgical_pipeline.sandbox.sample.timeline import Timeline

if TYPE_CHECKING:
    from surgical_pipeline.sandbox.sample.script import Remark, Story

_AWARDS = ("thumbsup", "rocket", "eyes", "heart", "tada", "thumbsdown")
_DAY = 24 * 60


@dataclass
class Numbers:
    """The next id of each kind; ids grow in the order in which things are built."""

    issue: int = 510_000
    merge_request: int = 310_000
    note: int = 7_000_000
    event: int = 410_000
    award: int = 52_000
    given: dict[str, int] = field(default_factory=dict)

    def next(self, kind: str) -> int:
        self.given[kind] = self.given.get(kind, int(getattr(self, kind))) + 1
        return self.given[kind]


class Assembler:
    """Builds the entities of one project."""

    def __init__(self, project: Project, *, users: dict[str, Json], numbers: Numbers) -> None:
        self.project = project
        self.users = users
        self.numbers = numbers

    def issue(self, story: Story, *, iid: int, opened: datetime) -> Entity:
        """An issue with its threads and events; closed when the story says so, or else one in three."""
        timeline = Timeline(opened, seed=f"{self.project.path}#{iid}")
        author = self._author(story, timeline)
        payload = payloads.issue_payload(
            self.numbers.next("issue"),
            iid,
            project=self.project.payload,
            author=author,
            title=story.title,
            text=story.body,
        )
        entity = Entity("issue", payload, {"subscribed": False})
        self._begin(entity, story, timeline)
        payload["confidential"] = "confidential" in story.listed("flags")
        self._converse(entity, story.remarks, timeline)
        state = story.attributes.get("state") or timeline.random.choice(["opened", "opened", "closed"])
        if state == "closed":
            self._close(entity, timeline)
        self._finish(entity, timeline)
        return entity

    def change(self, story: Story, *, iid: int, opened: datetime) -> Entity:
        """A merge request with threads, events, commits, diffs, and in most cases a happy end."""
        timeline = Timeline(opened, seed=f"{self.project.path}!{iid}")
        payload = payloads.merge_request_payload(
            self.numbers.next("merge_request"),
            iid,
            project=self.project.payload,
            author=self._author(story, timeline),
            title=story.title,
            text=story.body,
            source_branch=code.branch_name(story.title),
        )
        entity = Entity("merge_request", payload)
        self._begin(entity, story, timeline)
        payload["prepared_at"] = timeline.now
        entity.commits = code.commits_of(story, payload, project=self.project.payload, timeline=timeline)
        entity.diffs = code.diffs_of(story)
        self._converse(entity, story.remarks, timeline)
        states = ["opened"] if payload["draft"] else ["merged", "merged", "merged", "opened", "closed"]
        state = story.attributes.get("state") or timeline.random.choice(states)
        if state == "merged":
            self._merge(entity, timeline)
        elif state == "closed":
            self._close(entity, timeline)
        entity.single = payloads.merge_request_alone(
            changes_count=str(len(entity.diffs)), diff_refs=code.diff_refs(payload)
        )
        self._finish(entity, timeline)
        return entity

    def _author(self, story: Story, timeline: Timeline) -> Json:
        return self.users[story.attributes.get("author") or timeline.random.choice(ENGINEERS)]

    # ------------------------------------------------------------------ steps

    def _begin(self, entity: Entity, story: Story, timeline: Timeline) -> None:
        payload, author = entity.payload, entity.payload["author"]
        payload["created_at"] = timeline.now
        payload["labels"] = sorted(story.labels)
        for name in payload["labels"]:
            self._label_event(entity, name, user=author, at=timeline.now)
        if self.project.milestones:
            milestone = self.project.milestones[timeline.random.randrange(len(self.project.milestones))]
            payload["milestone"] = milestone
            event = self._event(entity, user=author, at=timeline.later(minutes=20))
            entity.milestone_events.append(event | {"milestone": milestone, "state": "opened", "action": "add"})
        assignee = self.users[timeline.random.choice(ENGINEERS)]
        payload["assignees"], payload["assignee"] = [assignee], assignee
        if entity.kind == "merge_request":
            others = [name for name in ENGINEERS if name != author["username"]]
            payload["reviewers"] = [self.users[timeline.random.choice(others)]]
        self._system_note(
            entity, f"assigned to @{assignee['username']}", user=author, at=timeline.later(minutes=5)
        )

    def _converse(self, entity: Entity, remarks: tuple[Remark, ...], timeline: Timeline) -> None:
        thread: list[Json] = []
        for remark in remarks:
            at = timeline.later(minutes=_DAY if not remark.reply else 180)
            note = self._note(entity, remark, at=at)
            if remark.reply and thread:
                note |= {"type": thread[0]["type"] or "DiscussionNote"}
                thread[0]["type"] = note["type"]
                self._settle(note, thread[0])
                thread.append(note)
                entity.discussions[-1] |= {"individual_note": False, "notes": thread}
            else:
                thread = [note]
                entity.discussions.append(payloads.discussion_payload(thread, individual=not remark.line))

    def _note(self, entity: Entity, remark: Remark, *, at: str) -> Json:
        note = payloads.note_payload(
            self.numbers.next("note"),
            entity.payload,
            entity.kind,
            author=self.users[remark.author],
            body=remark.text,
            at=at,
            system=False,
            internal=remark.internal,
        )
        if remark.line:
            position = code.position_on(entity.payload, path=remark.path, line=remark.line)
            note |= {
                "type": "DiffNote",
                "commit_id": None,
                "position": position,
                "resolvable": True,
                "suggestions": [],
            }
            note |= {"resolved": remark.resolved, "resolved_by": None, "resolved_at": None}
            if remark.resolved:
                note |= {"resolved_by": entity.payload["author"], "resolved_at": at}
            else:
                entity.payload["blocking_discussions_resolved"] = False
        return note

    def _settle(self, note: Json, first: Json) -> None:
        """A reply in a review thread shares its place and whether it is resolved."""
        shared = ("commit_id", "position", "resolvable", "suggestions", "resolved", "resolved_by", "resolved_at")
        note |= {name: first[name] for name in shared if name in first}

    def _close(self, entity: Entity, timeline: Timeline) -> None:
        user, at = entity.payload["assignee"], timeline.later(minutes=3 * _DAY)
        entity.payload |= {"state": "closed", "closed_at": at, "closed_by": user}
        self._state_event(entity, "closed", user=user, at=at)

    def close_by_merge(self, issue: Entity, change: Entity, *, reopened: bool) -> None:
        """What merging does to an open issue: closed, with an event that names the merge request."""
        if change.payload["state"] != "merged" or issue.payload["state"] == "closed":
            return
        user, at = change.payload["merge_user"], max(change.payload["merged_at"], issue.payload["updated_at"])
        self._system_note(issue, f"closed via merge request !{change.iid}", user=user, at=at)
        self._state_event(issue, "closed", user=user, at=at)
        issue.state_events[-1]["source_merge_request_id"] = change.payload["id"]
        if reopened:
            at = format_instant(datetime.fromisoformat(at) + timedelta(minutes=17))
            self._state_event(issue, "reopened", user=issue.payload["author"], at=at)
        else:
            issue.payload |= {"state": "closed", "closed_at": at, "closed_by": user}
        issue.payload["updated_at"] = at

    def _merge(self, entity: Entity, timeline: Timeline) -> None:
        payload, reviewer = entity.payload, entity.payload["reviewers"][0]
        self._system_note(entity, "approved this merge request", user=reviewer, at=timeline.later(minutes=_DAY))
        entity.approved_by = [reviewer]
        at = timeline.later(minutes=120)
        payload |= {"state": "merged", "merged_at": at, "merged_by": reviewer, "merge_user": reviewer}
        payload |= {"merge_commit_sha": payloads.sha1(payload["id"], "merge"), "should_remove_source_branch": True}
        payload["detailed_merge_status"] = "not_open"
        self._state_event(entity, "merged", user=reviewer, at=at)

    def _finish(self, entity: Entity, timeline: Timeline) -> None:
        payload = entity.payload
        payload["updated_at"] = timeline.now
        payload["user_notes_count"] = sum(not note["system"] for note in entity.notes())
        for name in timeline.random.sample(_AWARDS, timeline.random.randrange(3)):
            user = self.users[timeline.random.choice(ENGINEERS)]
            award_id, at = self.numbers.next("award"), timeline.later(minutes=60)
            entity.awards.append(
                payloads.award_payload(award_id, payload, entity.kind, user=user, name=name, at=at)
            )
        payload["upvotes"] = sum(award["name"] == "thumbsup" for award in entity.awards)
        payload["downvotes"] = sum(award["name"] == "thumbsdown" for award in entity.awards)

    # ------------------------------------------------------------------ rows

    def _system_note(self, entity: Entity, body: str, *, user: Json, at: str) -> None:
        note = payloads.note_payload(
            self.numbers.next("note"),
            entity.payload,
            entity.kind,
            author=user,
            body=body,
            at=at,
            system=True,
            internal=False,
        )
        entity.discussions.append(payloads.discussion_payload([note], individual=True))

    def _event(self, entity: Entity, *, user: Json, at: str) -> Json:
        return payloads.event_payload(self.numbers.next("event"), entity.payload, entity.kind, user=user, at=at)

    def _label_event(self, entity: Entity, name: str, *, user: Json, at: str) -> None:
        label = self.project.detailed_label(name)
        shown = {field: label[field] for field in ("id", "name", "color", "description")}
        entity.label_events.append(self._event(entity, user=user, at=at) | {"label": shown, "action": "add"})

    def _state_event(self, entity: Entity, state: str, *, user: Json, at: str) -> None:
        extra = {"source_commit": None, "source_merge_request_id": None, "state": state}
        entity.state_events.append(self._event(entity, user=user, at=at) | extra)
