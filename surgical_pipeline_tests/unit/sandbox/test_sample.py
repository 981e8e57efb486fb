from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from surgical_pipeline.sandbox.model import Entity, render
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.sample.people import ENGINEERS, ROCKET_ID
from surgical_pipeline.sandbox.sample.topics import all_topics, launchpad_topics, showcase_topics

if TYPE_CHECKING:
    from surgical_pipeline.sandbox.model import Kind, Sample

FIELDS = [name for name in Entity.__dataclass_fields__ if name != "rendered"]


def digest(sample: Sample) -> str:
    """Of everything in the sample, in the order in which it was built."""
    entities = [[getattr(entity, name) for name in FIELDS] for entity in sample.entities.values()]
    relations = [[str(row) for row in rows] for rows in (sample.links, sample.closings)]
    return hashlib.sha256(render([entities, relations, dict(sample.users)])).hexdigest()


def of_kind(sample: Sample, kind: Kind) -> list[Entity]:
    return [e for e in sample.entities.values() if e.kind == kind and e.project_id == ROCKET_ID]


def test_the_same_build_has_the_same_bytes_in_every_process() -> None:
    program = f"import sys; sys.path.insert(0, '.'); import {__name__} as t; print(t.digest(t.build_sample()))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(build_sample.__wrapped__()) == digest(build_sample())


@pytest.mark.parametrize(("issues", "changes"), [(120, 80), (15, 35), (400, 150)])
def test_the_sample_has_as_many_entities_as_asked_for(issues: int, changes: int) -> None:
    sample = build_sample(issues, changes)
    assert len(of_kind(sample, "issue")) == issues
    assert len(of_kind(sample, "merge_request")) == changes
    found = {(kind, iid) for project, kind, iid in sample.entities if project == ROCKET_ID}
    assert {("issue", 12), ("issue", 13), ("issue", 14)} <= found
    assert {("merge_request", 34), ("merge_request", 35)} <= found
    assert found.isdisjoint({("issue", 7), ("issue", 9999), ("merge_request", 21)})


def test_a_larger_sample_only_adds_to_what_was_written_by_hand() -> None:
    small, large = build_sample(), build_sample(200, 80)
    texts = [{e.iid: e.payload["title"] for e in of_kind(sample, "issue")} for sample in (small, large)]
    assert {iid: texts[1][iid] for iid in range(1, 112) if iid in texts[1]} == {
        iid: title for iid, title in texts[0].items() if iid < 112
    }


def test_there_are_more_than_forty_topics_and_every_title_is_unique() -> None:
    topics = [*showcase_topics(), *all_topics()]
    assert len({topic.key for topic in topics}) == len(topics) >= 41
    titles = [story.title for topic in topics for story in topic.stories]
    assert len(set(titles)) == len(titles)


def test_every_remark_is_by_somebody_and_every_change_closes_what_exists() -> None:
    for topic in [*showcase_topics(), *all_topics(), *launchpad_topics()]:
        issues = topic.of_kind("issue")
        for story in topic.stories:
            assert all(remark.author in ENGINEERS and remark.text for remark in story.remarks), story.title
            assert all(0 < int(number) <= len(issues) for number in story.listed("closes")), story.title
            paths = {remark.path for remark in story.remarks if remark.path}
            assert paths <= set(story.listed("files")), story.title


def test_every_instant_is_in_order_and_before_november() -> None:
    for entity in build_sample(1000, 80).entities.values():
        payload = entity.payload
        assert "2026-01-05" <= payload["created_at"] <= payload["updated_at"] < "2026-10-31"
        for field in ("closed_at", "merged_at"):
            if payload.get(field):
                assert payload["created_at"] <= payload[field] <= payload["updated_at"]
        for notes in (thread["notes"] for thread in entity.discussions):
            times = [note["created_at"] for note in notes]
            assert times == sorted(times)
            assert times[-1] <= payload["updated_at"]


def test_ids_of_notes_events_and_threads_are_unique() -> None:
    entities = build_sample(1000, 80).entities.values()
    for name in ("label_events", "state_events", "milestone_events", "awards", "discussions"):
        ids = [row["id"] for entity in entities for row in getattr(entity, name)]
        assert len(set(ids)) == len(ids), name
    notes = [note["id"] for entity in entities for note in entity.notes()]
    assert len(set(notes)) == len(notes)


def test_the_hard_cases_are_in_the_sample() -> None:
    sample = build_sample()
    issues, changes = of_kind(sample, "issue"), of_kind(sample, "merge_request")
    descriptions = [issue.payload["description"] for issue in issues]
    assert max(map(len, descriptions)) >= 1_000_000
    assert any("data:image/png;base64," in text for text in descriptions)
    assert any("<!--" in text for text in descriptions)
    assert any(text == "" for text in descriptions)
    assert max(issue.payload["user_notes_count"] for issue in issues) == 150
    assert sum(issue.confidential for issue in issues) == 2
    [moved] = [issue for issue in issues if issue.payload["moved_to_id"]]
    target = next(e for e in sample.entities.values() if e.payload["id"] == moved.payload["moved_to_id"])
    assert target.project_id != ROCKET_ID
    assert {change.payload["state"] for change in changes} == {"opened", "closed", "merged"}
    assert any(change.payload["draft"] for change in changes)
    assert all(change.commits and change.diffs for change in changes)


def test_merging_closes_the_issues_that_a_change_names() -> None:
    sample = build_sample()
    for closing in sample.closings:
        change, issue = sample.entities[closing.merge_request], sample.entities[closing.issue]
        assert issue.payload["created_at"] < change.payload["created_at"]
        assert f"Closes #{issue.iid}" in change.payload["description"]
        if change.payload["state"] == "merged":
            assert "closed" in [event["state"] for event in issue.state_events]


def test_ten_thousand_issues_are_built_from_parts_and_differ() -> None:
    issues = of_kind(build_sample(issues=10_001, merge_requests=35), "issue")
    assert len(issues) == 10_001
    assert len({issue.payload["title"] for issue in issues}) > 9_000
    assert all(issue.payload["user_notes_count"] for issue in issues[200:])
