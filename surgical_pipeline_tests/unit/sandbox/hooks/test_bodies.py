from __future__ import annotations

from typing import Literal

import pytest

from surgical_pipeline.sandbox.hooks.bodies import changes_between, entity_changed, in_style
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.sample.people import ROCKET_ID

Style = Literal["iso", "utc", "offset"]
SAMPLE = build_sample()
ROCKET = SAMPLE.projects[ROCKET_ID]


@pytest.mark.parametrize(
    ("style", "written"),
    [
        ("iso", "2026-03-04T05:06:07.089Z"),
        ("utc", "2026-03-04 05:06:07 UTC"),
        ("offset", "2026-03-03 22:06:07 -0700"),
    ],
)
def test_instants_are_restyled_wherever_they_stand_and_nothing_else_is(style: Style, written: str) -> None:
    instant, prose = "2026-03-04T05:06:07.089Z", "At 2026-03-04T05:06:07.089Z it fell"
    value = {"a": [instant, {"b": instant}], "text": prose, "number": 7, "none": None}
    assert in_style(value, style) == {
        "a": [written, {"b": written}],
        "text": prose,
        "number": 7,
        "none": None,
    }


def test_changes_name_only_what_differs_in_the_shapes_of_hooks() -> None:
    before = {"title": "a", "state": "opened", "labels": ["type::bug"], "milestone": None, "weight": 1}
    after = {"title": "b", "state": "closed", "labels": [], "milestone": {"id": 881}, "weight": 1}
    changes = changes_between(before, after, project=ROCKET)
    assert set(changes) == {"title", "state_id", "labels", "milestone_id"}
    assert changes["state_id"] == {"previous": 1, "current": 2}
    assert changes["milestone_id"] == {"previous": None, "current": 881}
    assert changes["labels"]["previous"][0]["title"] == "type::bug"
    assert changes["labels"]["current"] == []


def test_every_entity_of_the_sample_has_a_body_with_its_project_and_iid() -> None:
    for entity in SAMPLE.entities.values():
        project = SAMPLE.projects[entity.project_id]
        sent = entity_changed(entity, project, action="update", changes={})
        assert sent.body["project"]["id"] == entity.project_id
        assert sent.body["object_attributes"]["iid"] == entity.iid
        assert sent.body["object_kind"] == entity.kind
        assert sent.trigger == {
            "merge_request": "merge_requests",
            "issue": "confidential_issues" if entity.confidential else "issues",
        }.get(entity.kind)
