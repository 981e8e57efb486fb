"""The code side of merge requests: commits, diffs, and the positions that review comments hang on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox.payloads import commit_payload, diff_payload, sha1

if TYPE_CHECKING:
    from surgical_pipeline.sandbox.model import Json
    from surgical_pipeline.sandbox.sample.script import Story
    from surgical_pipeline.sandbox.sample.timeline import Timeline

_HUNKS: Final = {
    "rs": ("-    let {name} = frame.read()?;\n", "+    let {name} = frame.read_checked(Limits::default())?;\n"),
    "py": ("-    return load_{name}(path)\n", "+    return load_{name}(path, strict=True)\n"),
    "ts": (
        "-  const {name} = useLatest(channel);\n",
        "+  const {name} = useLatest(channel, {{ stale: 2000 }});\n",
    ),
    "sql": (
        "-CREATE INDEX {name}_at ON {name} (at);\n",
        "+CREATE INDEX {name}_at ON {name} (vehicle, at DESC);\n",
    ),
    "yml": ("-  timeout: 30m\n", "+  timeout: 12m\n+  needs: [{name}]\n"),
    "md": ("-Ask the flight director.\n", "+Ask the flight director on loop 2, then log it under `{name}`.\n"),
}


def branch_name(title: str) -> str:
    words = re.findall(r"[a-z0-9]+", title.removeprefix("Draft:").lower())
    return "-".join(words[:6]) or "change"


def diff_refs(merge_request: Json) -> Json:
    path, iid = merge_request["project_id"], merge_request["iid"]
    return {
        "base_sha": sha1(path, iid, "base"),
        "head_sha": merge_request["sha"],
        "start_sha": sha1(path, iid, "base"),
    }


def commits_of(story: Story, merge_request: Json, *, project: Json, timeline: Timeline) -> list[Json]:
    """The commits, newest first as GitLab gives them; the newest has the merge request's `sha`."""
    subject = story.title.removeprefix("Draft:").strip()
    titles = (
        story.listed("commits")
        or [subject, f"Test: {subject[:60]}", "Address review"][: 1 + timeline.random.randrange(3)]
    )
    parent, commits = str(diff_refs(merge_request)["base_sha"]), []
    for number, title in enumerate(titles):
        newest = number == len(titles) - 1
        sha = str(merge_request["sha"]) if newest else sha1(merge_request["id"], "commit", number)
        at = timeline.later(minutes=90)
        commits.append(
            commit_payload(project, sha=sha, parent=parent, title=title, author=merge_request["author"], at=at)
        )
        parent = sha
    return commits[::-1]


def diffs_of(story: Story) -> list[Json]:
    """One diff for each file of the story, in path order."""
    return [_diff(path) for path in sorted(story.listed("files"))]


def _diff(path: str) -> Json:
    suffix = path.rpartition(".")[2]
    name = re.sub(r"\W", "_", path.rpartition("/")[2].partition(".")[0])
    before, after = (part.format(name=name) for part in _HUNKS.get(suffix, _HUNKS["md"]))
    if "test" in path:
        added = (before + after).replace("\n-", "\n+").replace("-", "+", 1)
        return diff_payload(path, f"@@ -0,0 +1,{added.count(chr(10))} @@\n{added}", new_file=True)
    return diff_payload(path, f"@@ -40,3 +40,{2 + after.count(chr(10))} @@\n \n{before}{after} \n", new_file=False)


def position_on(merge_request: Json, *, path: str, line: int) -> Json:
    """Where a review comment hangs: a line of the new side of a file."""
    return diff_refs(merge_request) | {
        "old_path": path,
        "new_path": path,
        "position_type": "text",
        "old_line": None,
        "new_line": line,
        "line_range": None,
    }
