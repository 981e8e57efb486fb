from __future__ import annotations

import pytest

from surgical_pipeline.sandbox.sample.script import read_script

TEXT = """
=== valves | component::flight, type::bug
## issue: Valve sticks
labels: priority::1
author: mira.okafor

It sticks.

--- a table follows, not a remark
--- jonas.weber
Oil it.
--- +mira.okafor internal
Done.
## change: Oil the valve
closes: 1
files: src/a.rs, src/b.rs

Text.
--- li.wei @ src/a.rs:12 resolved
Why?
=== second |
## issue: Nothing
"""


def test_a_script_is_read_into_topics_stories_and_remarks() -> None:
    valves, second = read_script(TEXT.replace("--- a table follows, not a remark\n", ""))
    issue, change = valves.stories
    assert (issue.kind, issue.title, issue.body) == ("issue", "Valve sticks", "It sticks.")
    assert issue.labels == ("component::flight", "priority::1", "type::bug")
    assert [(r.author, r.text, r.reply, r.internal) for r in issue.remarks] == [
        ("jonas.weber", "Oil it.", False, False),
        ("mira.okafor", "Done.", True, True),
    ]
    assert change.kind == "merge_request"
    assert change.listed("files") == ["src/a.rs", "src/b.rs"]
    [review] = change.remarks
    assert (review.path, review.line, review.resolved) == ("src/a.rs", 12, True)
    assert [story.title for story in second.of_kind("issue")] == ["Nothing"]
    assert second.of_kind("merge_request") == []


def test_a_remark_with_a_garbled_head_is_an_error() -> None:
    with pytest.raises(ValueError, match="not the head of a remark"):
        read_script(TEXT)
