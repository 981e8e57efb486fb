"""Whole runs against a GitLab whose answers are real ones bent out of shape."""

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply
from surgical_pipeline_tests.integration.ledger.examples import start
from surgical_pipeline_tests.integration.stages.scripted_gitlab import (
    BASE,
    PLURALS,
    PROJECT,
    PROJECT_BY_PATH,
    SAMPLES,
    run_up_to_docs,
)
from surgical_pipeline_tests.unit.gitlab.bending import bend
from surgical_pipeline_tests.unit.gitlab.corpus import payloads
from surgical_pipeline_tests.unit.gitlab.owned import give_to, numbered

SCOPE = Scope.parse("acme/rocket#1-3!1-2")
KEYS = list(SCOPE.keys())
ENTITY_PATH_SLASHES = 5
"""/api/v4/projects/7/issues; dependents lie deeper."""
NEEDED = {key: {"id", "title", "state", "updated_at"} for key in ("issue", "merge_request")}
"""Some samples were shortened by hand."""
MILESTONES = {"resource_milestone_events": "resource_state_event"}
_numbers, _ids = itertools.count(1), itertools.count(1_000_000)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> DuckDBLedger:
    """One ledger for all examples: each run goes on where others left it."""
    return DuckDBLedger(tmp_path_factory.mktemp("mutated") / "ledger.duckdb")


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example is a run: no time to make one smaller
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_answer_bent_out_of_shape_crashes_a_run(
    shared: DuckDBLedger, gitlab_payloads: Path, data: st.DataObject
) -> None:
    answers = real_answers(gitlab_payloads, data)
    bends = data.draw(st.integers(0, 9))
    entities = [path for path in answers if path.count("/") <= ENTITY_PATH_SLASHES]
    for _ in range(bends):
        path = data.draw(st.sampled_from(entities) | st.sampled_from(sorted(answers)))
        wrapped = [answers[path]]
        bend(wrapped, data)
        answers[path] = wrapped[0] if wrapped else None
    run = start(shared, f"run-{next(_numbers)}", str(SCOPE))
    replies = {path: Reply(answer) for path, answer in answers.items()}
    outcomes = run_up_to_docs(run, SCOPE, replies=replies, folder=shared.path.parent)
    assert [outcome.key for outcome in outcomes] == KEYS
    assert all(one.usable or one.failure is not None for one in outcomes)
    assert bends or not [one for one in outcomes if one.has_warning]


SAME_PROJECT = {
    "id": PROJECT,
    "created_at": "2020-01-01T00:00:00Z",
    "path_with_namespace": "acme/rocket",
    "web_url": "https://gitlab.example.com/acme/rocket",
}
"""What must not differ from example to example: a ledger belongs to one GitLab."""


def real_answers(folder: Path, data: st.DataObject) -> dict[str, Any]:
    """A whole small project made of real answers, whose entities carry this project's id and their own IIDs."""

    def some(kind: str, count: int) -> list[dict[str, Any]]:
        needed = NEEDED.get(kind, set())
        whole = [one for one in payloads(folder, kind) if needed <= {name for name in one if one[name]}]
        chosen = data.draw(st.lists(st.sampled_from(whole), min_size=count, max_size=count))
        return [copy.deepcopy(one) for one in chosen]

    answers: dict[str, Any] = {
        PROJECT_BY_PATH: some("project", 1)[0] | SAME_PROJECT,
        f"{BASE}/issues": [
            one | {"iid": iid, "project_id": PROJECT} for iid, one in enumerate(some("issue", 3), start=1)
        ],
        f"{BASE}/merge_requests": [
            one | {"iid": iid, "project_id": PROJECT, "target_project_id": PROJECT}
            for iid, one in enumerate(some("merge_request", 2), start=1)
        ],
    }
    for key in KEYS:
        base = f"{BASE}/{PLURALS[key.entity_type]}/{key.iid}"
        for path, kind in (SAMPLES[key.entity_type] | MILESTONES).items():
            page = [numbered(one, next(_ids)) for one in some(kind, 2)]
            gitlab_id = answers[f"{BASE}/{PLURALS[key.entity_type]}"][key.iid - 1]["id"]
            for one in page:
                dependent = Dependent[path.removeprefix("resource_").upper()]
                give_to(one, dependent, key, project_id=PROJECT, gitlab_id=gitlab_id)
            answers[f"{base}/{path}"] = page[0] if path == "approvals" else page
    return answers
