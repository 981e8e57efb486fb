"""`build_sample`: the whole sample, the same bytes every time."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import count, zip_longest
from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox.model import Closing, Entity, EntityKey, IssueLink, Kind, Sample
from surgical_pipeline.sandbox.sample import people
from surgical_pipeline.sandbox.sample.assemble import Assembler, Numbers
from surgical_pipeline.sandbox.sample.oddities import odd_topics
from surgical_pipeline.sandbox.sample.plain import plain_change, plain_issue
from surgical_pipeline.sandbox.sample.timeline import opened_at, plain_opened_at
from surgical_pipeline.sandbox.sample.topics import all_topics, launchpad_topics, showcase_topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from surgical_pipeline.sandbox.sample.script import Story, Topic

DELETED_IIDS: Final[dict[Kind, frozenset[int]]] = {
    "issue": frozenset({7, 58, 91}),
    "merge_request": frozenset({21, 66}),
}
"""Gaps: what had these IIDs was deleted long ago."""

_FIRST_FREE_ID: Final = 90_000_000


@cache
def build_sample(issues: int = 120, merge_requests: int = 80) -> Sample:
    """`acme/rocket` with so many issues and merge requests, a little of `acme/launchpad`, and a private project.

    Numbers beyond the hand-written ones are filled with composed, plain entities; issues 12, 13 and 14 and
    merge requests 34 and 35 are always there. The result is shared and must not be changed.
    """
    users, numbers = people.sample_users(), Numbers()
    rocket, launchpad, vault = people.rocket(), people.launchpad(), people.vault()
    topics = [*showcase_topics(), *all_topics(), *odd_topics()]
    assembler = Assembler(rocket, users=users, numbers=numbers)
    entities: dict[EntityKey, Entity] = {}
    written: dict[int, EntityKey] = {}
    wanted: dict[Kind, int] = {"issue": issues, "merge_request": merge_requests}
    for kind, number in wanted.items():
        _build_kind(assembler, topics, kind, number, entities=entities, written=written)
    side = Assembler(launchpad, users=users, numbers=numbers)
    for number, story in enumerate(story for topic in launchpad_topics() for story in topic.stories):
        build = side.issue if story.kind == "issue" else side.change
        entity = build(
            story,
            iid=1 + sum(key[:2] == (people.LAUNCHPAD_ID, story.kind) for key in entities),
            opened=opened_at(number, 8),
        )
        entities[entity.key] = entity
    _move_one(entities)
    return Sample(
        projects={project.project_id: project for project in (rocket, launchpad, vault)},
        entities=entities,
        links=_links(topics, written, entities),
        closings=_closings(assembler, topics, written=written, entities=entities),
        users=users,
        next_id=_FIRST_FREE_ID,
    )


def _build_kind(
    assembler: Assembler,
    topics: Sequence[Topic],
    kind: Kind,
    wanted: int,
    *,
    entities: dict[EntityKey, Entity],
    written: dict[int, EntityKey],
) -> None:
    stories = _in_turns([_in_time(topic, kind) for topic in topics])
    fixed: dict[int | None, Story] = {story.iid: story for story in stories if story.iid is not None}
    free = iter([story for story in stories if story.iid is None])
    total = min(len(stories), wanted)
    for position, iid in enumerate(_iids(kind, fixed, wanted)):
        story = fixed.get(iid) or next(free, None)
        opened = opened_at(position, total) if story is not None else plain_opened_at(position)
        if story is not None:
            written[id(story)] = (assembler.project.project_id, kind, iid)
        if kind == "issue":
            entity = assembler.issue(story or plain_issue(iid), iid=iid, opened=opened)
        else:
            entity = assembler.change(story or plain_change(iid), iid=iid, opened=opened + timedelta(days=1))
        entities[entity.key] = entity


def _iids(kind: Kind, fixed: Mapping[int | None, Story], wanted: int) -> Iterator[int]:
    """So many IIDs from 1 on without the deleted ones; the last make room for fixed ones beyond them."""
    plain = (iid for iid in count(1) if iid not in DELETED_IIDS[kind])
    chosen = [next(plain) for _ in range(wanted)]
    beyond = sorted(iid for iid in fixed if iid is not None and iid not in chosen)
    yield from sorted([*chosen[: max(wanted - len(beyond), 0)], *beyond])


def _in_time(topic: Topic, kind: Kind) -> list[Story]:
    """The stories of a topic such that an issue comes before what closes it: closed issues first, in one order."""
    closed = [number for change in topic.of_kind("merge_request") for number in change.listed("closes")]
    order = sorted(set(closed))
    if kind == "issue":
        issues = topic.of_kind(kind)
        first = [issues[int(number) - 1] for number in order]
        return [*first, *(issue for issue in issues if issue not in first)]
    changes = topic.of_kind(kind)
    return sorted(changes, key=lambda change: min(map(order.index, change.listed("closes")), default=len(order)))


def _in_turns(columns: Sequence[Sequence[Story]]) -> list[Story]:
    """The first of every topic, then the second of every topic, and so on."""
    return [story for row in zip_longest(*columns) for story in row if story is not None]


def _closings(
    assembler: Assembler,
    topics: Sequence[Topic],
    *,
    written: dict[int, EntityKey],
    entities: dict[EntityKey, Entity],
) -> tuple[Closing, ...]:
    """What changes close; a merged one has closed its issue, which somebody opened again if its story says so."""
    found = []
    for topic in topics:
        issues = topic.of_kind("issue")
        for change in topic.of_kind("merge_request"):
            for number in change.listed("closes"):
                closed = issues[int(number) - 1]
                source, target = written.get(id(change)), written.get(id(closed))
                if source is not None and target is not None:
                    found.append(Closing(source, target))
                    entities[target].payload["merge_requests_count"] += 1
                    _say_what_it_closes(entities[source], entities[target])
                    reopened = closed.attributes.get("state") == "opened"
                    assembler.close_by_merge(entities[target], entities[source], reopened=reopened)
    return tuple(found)


def _say_what_it_closes(change: Entity, issue: Entity) -> None:
    """`Closes #12` in the description, after a first sentence where nothing was written."""
    text, closes = change.payload["description"], f"Closes #{issue.iid}"
    if not text:
        paths = "\n".join(f"- `{diff['new_path']}`" for diff in change.diffs)
        text = f"For “{issue.payload['title']}”. It touches\n\n{paths}"
    if closes not in text:
        text = f"{text}\n\n{closes}"
    change.payload["description"] = text


def _links(
    topics: Sequence[Topic], written: dict[int, EntityKey], entities: dict[EntityKey, Entity]
) -> tuple[IssueLink, ...]:
    """Issues of one topic are related; the first blocks the third where there is one."""
    found: list[IssueLink] = []
    for topic in topics:
        keys = [written[id(story)] for story in topic.of_kind("issue") if id(story) in written]
        for position, key in enumerate(keys[1:3]):
            at = max(entities[keys[0]].payload["created_at"], entities[key].payload["created_at"])
            blocks = position == 1
            found.append(IssueLink(6000 + len(found), keys[0], key, "blocks" if blocks else "relates_to", at))
            entities[keys[0]].payload["blocking_issues_count"] += int(blocks)
    return tuple(found)


def _move_one(entities: dict[EntityKey, Entity]) -> None:
    """The issue whose story says so went over to `acme/launchpad`."""
    target = entities[people.LAUNCHPAD_ID, "issue", 1]
    for entity in entities.values():
        if entity.payload["title"] == target.payload["title"] and entity.project_id == people.ROCKET_ID:
            entity.payload["moved_to_id"] = target.payload["id"]
