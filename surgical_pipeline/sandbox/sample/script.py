"""The plain-text form in which the sample's prose is written, and its reader.

=== topic-key | label, label
## issue: Title            (or: ## change: Title, for a merge request)
author: username           (attributes up to the first blank line, all optional)
closes: 1, 2               (of a change: the topic's issues that it closes, counted from 1)

Description in Markdown.
--- username               a note that starts a thread
--- +username              a reply in the same thread
--- username internal      an internal note
--- username @ path:12     a review comment on a line; `resolved` at the end for a settled one
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from surgical_pipeline.sandbox.model import Kind

_TOPIC: Final = re.compile(r"^=== ", re.MULTILINE)
_STORY: Final = re.compile(r"^## (?=issue: |change: )", re.MULTILINE)
_REMARK: Final = re.compile(r"^--- (?=\+?[a-z])", re.MULTILINE)
_HEAD: Final = re.compile(
    r"(?P<reply>\+?)(?P<author>[\w.-]+)(?P<internal> internal)?"
    r"(?: @ (?P<path>[^:\s]+):(?P<line>\d+))?(?P<resolved> resolved)?"
)
_ATTRIBUTE: Final = re.compile(r"(author|labels|state|iid|files|closes|commits|flags): (.*)")


@dataclass(frozen=True, slots=True)
class Remark:
    """A note by a person. `line` is 0 for one that is not about a line of code."""

    author: str
    text: str
    reply: bool = False
    internal: bool = False
    path: str = ""
    line: int = 0
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """An issue or a merge request as it was written."""

    kind: Kind
    title: str
    body: str
    remarks: tuple[Remark, ...] = ()
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def iid(self) -> int | None:
        """The IID that this story must have, if any."""
        return int(self.attributes["iid"]) if "iid" in self.attributes else None

    def listed(self, name: str) -> list[str]:
        """A comma-separated attribute."""
        return [part.strip() for part in self.attributes.get(name, "").split(",") if part.strip()]


@dataclass(frozen=True, slots=True)
class Topic:
    """Stories about one matter."""

    key: str
    stories: tuple[Story, ...]

    def of_kind(self, kind: Kind) -> list[Story]:
        return [story for story in self.stories if story.kind == kind]


def read_script(text: str) -> list[Topic]:
    """The topics of a script, in order."""
    return [_read_topic(part) for part in _TOPIC.split(text) if part.strip()]


def _read_topic(text: str) -> Topic:
    head, _, rest = text.partition("\n")
    key, _, labels = head.partition("|")
    shared = tuple(label.strip() for label in labels.split(",") if label.strip())
    return Topic(key.strip(), tuple(_read_story(part, shared) for part in _STORY.split(rest) if part.strip()))


def _read_story(text: str, shared_labels: tuple[str, ...]) -> Story:
    head, *remarks = _REMARK.split(text)
    first, *lines = head.strip().split("\n")
    kind, _, title = first.partition(": ")
    attributes: dict[str, str] = {}
    while lines and (found := _ATTRIBUTE.fullmatch(lines[0])):
        attributes[found[1]] = found[2].strip()
        lines.pop(0)
    own = tuple(label.strip() for label in attributes.get("labels", "").split(",") if label.strip())
    return Story(
        kind="issue" if kind == "issue" else "merge_request",
        title=title.strip(),
        body="\n".join(lines).strip(),
        remarks=tuple(_read_remark(remark) for remark in remarks),
        labels=tuple(sorted({*shared_labels, *own})),
        attributes=attributes,
    )


def _read_remark(text: str) -> Remark:
    head, _, body = text.partition("\n")
    found = _HEAD.fullmatch(head.strip())
    if found is None:
        raise ValueError(f"not the head of a remark: {head!r}")
    return Remark(
        author=found["author"],
        text=body.strip(),
        reply=bool(found["reply"]),
        internal=bool(found["internal"]),
        path=found["path"] or "",
        line=int(found["line"] or 0),
        resolved=bool(found["resolved"]),
    )
