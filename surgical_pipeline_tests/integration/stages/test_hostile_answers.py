"""Every field of real answers, each replaced by values that no GitLab gives but something in between may.

The values are spelled as bytes on the wire, since no JSON writer would write some of them. One run meets a value
in every field at once: each field has an entity of its own.
"""

import asyncio
import copy
import itertools
import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import FailureCode, StageFailedError
from surgical_pipeline.domain.handover import PreflightResult
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.gitlab.answers import decoded_json
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.records import parse_dependent
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.stages.preflight import run_preflight
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply
from surgical_pipeline_tests.integration.ledger.examples import start
from surgical_pipeline_tests.integration.stages.scripted_gitlab import (
    BASE,
    PLURALS,
    PROJECT,
    SAMPLES,
    gitlab_that_answers,
    run_up_to_docs,
)
from surgical_pipeline_tests.unit.gitlab.corpus import payloads
from surgical_pipeline_tests.unit.gitlab.owned import give_to, numbered

PLACE = "the hostile value comes here"
ABSENT = b""

HOSTILE = {
    "absent": ABSENT,
    "null": b"null",
    "true": b"true",
    "fraction": b"1.5",
    "whole float": b"1.0",
    "beyond a float": b"1e400",
    "negative": b"-1",
    "beyond 64 bits": b"9223372036854775808",
    "4000 digits": b"9" * 4000,
    "5000 digits": b"9" * 5000,
    "empty text": b'""',
    "NUL": rb'"a\u0000b"',
    "half a pair": rb'"\ud83d"',
    "half a pair as a name": rb'{"\udc00": "\ud83d", "\u0000": 1}',
    "duplicate names": b'{"id": 1, "id": "two", "name": 3, "name": null}',
    "empty list": b"[]",
    "empty object": b"{}",
    "list of null": b"[null]",
    "list of lists": b"[[1], [[]]]",
    "nested 150 times": b"[" * 150 + b"]" * 150,
    "nested 300 times": b'{"a":' * 300 + b"1" + b"}" * 300,
    "before any year": b'"0000-00-00T00:00:00Z"',
    "first moment": b'"0001-01-01T00:00:00+14:00"',
    "last moment": b'"9999-12-31T23:59:59.999999-14:00"',
    "far year": b'"20240-01-01"',
}
HARD_TO_STORE = (
    "absent",
    "beyond a float",
    "beyond 64 bits",
    "4000 digits",
    "NUL",
    "half a pair as a name",
    "duplicate names",
    "nested 150 times",
    "last moment",
)
_NO_JSON = {"5000 digits"}
"""Python reads no such number, so the whole answer is lost."""
_NEVER_STORED = {"beyond a float", "nested 150 times", "nested 300 times"}
"""Wherever it stands."""
_IDENTITY = {"iid", "project_id", "target_project_id"}
_LOOKED_INTO = {"notes", "user", "label"}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> DuckDBLedger:
    """One ledger for all runs: each goes on where others left it."""
    return DuckDBLedger(tmp_path_factory.mktemp("hostile") / "ledger.duckdb")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_in_any_field_of_an_entity_costs_that_entity_at_most(
    shared: DuckDBLedger, gitlab_payloads: Path, name: str
) -> None:
    bent = [*bent_fields(whole(gitlab_payloads, "issue"), except_for=_IDENTITY)]
    issues = [plain(1), *(one | owner(iid) for iid, one in enumerate(bent, 2))]
    bent = [*bent_fields(whole(gitlab_payloads, "merge_request"), except_for=_IDENTITY)]
    merge_requests = [one | owner(iid) | {"target_project_id": PROJECT} for iid, one in enumerate(bent, 1)]
    scope = Scope.of(
        "acme/rocket", issue_iids=range(1, len(issues) + 1), mr_iids=range(1, len(merge_requests) + 1)
    )
    answers = {f"{BASE}/issues": issues, f"{BASE}/merge_requests": merge_requests}
    outcomes = run(shared, scope, replies=wire(answers, HOSTILE[name]), dependents=())
    assert len(outcomes) == len(issues) + len(merge_requests)
    assert {one.failure.code for one in outcomes if one.failure} <= {FailureCode.INVALID_PAYLOAD}
    assert all(one.ingested != bool(one.failure) for one in outcomes)
    assert outcomes[0].ingested == (name not in _NO_JSON)
    assert any(one.ingested for one in outcomes[1:]) == (name not in _NO_JSON | _NEVER_STORED)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_in_any_field_of_a_dependent_gives_records_or_an_invalid_payload(
    gitlab_payloads: Path, name: str
) -> None:
    for path, sample in (SAMPLES[EntityType.ISSUE] | SAMPLES[EntityType.MERGE_REQUEST]).items():
        dependent = Dependent[path.removeprefix("resource_").upper()]
        for bent in bent_items(whole(gitlab_payloads, sample)):
            body = wire({path: [bent]}, HOSTILE[name])[path].encoded()
            with suppress(InvalidPayloadError):
                records = parse_dependent(dependent, decoded_json(body, httpx.Headers(), path))
                assert len(records) == 1
                assert json.loads(records[0].payload.encode(), parse_constant=pytest.fail)


@pytest.mark.parametrize("name", HARD_TO_STORE)
def test_a_hostile_value_in_any_field_of_a_dependent_costs_that_dependent_at_most(
    shared: DuckDBLedger, gitlab_payloads: Path, name: str
) -> None:
    answers: dict[str, Any] = {}
    counts = dict.fromkeys(EntityType, 0)
    for kind, plural in PLURALS.items():
        for path, sample in SAMPLES[kind].items():
            for iid, bent in enumerate(bent_items(whole(gitlab_payloads, sample)), 1):
                dependent = Dependent[path.removeprefix("resource_").upper()]
                own = numbered(bent, 1000 * len(plural) + iid)
                give_to(own, dependent, EntityKey(kind, iid), project_id=PROJECT, gitlab_id=100 + iid, but=PLACE)
                answers[f"{BASE}/{plural}/{iid}/{path}"] = own if path == "approvals" else [own]
                counts[kind] = max(counts[kind], iid)
        iids = range(1, counts[kind] + 1)
        answers[f"{BASE}/{plural}"] = [plain(iid) | {"target_project_id": PROJECT} for iid in iids]
        for iid in iids:
            answers[f"{BASE}/{plural}/{iid}/resource_milestone_events"] = [{"id": 1000 * len(plural) + iid}]
    issues, merge_requests = (range(1, counts[kind] + 1) for kind in EntityType)
    scope = Scope.of("acme/rocket", issue_iids=issues, mr_iids=merge_requests)
    outcomes = run(shared, scope, replies=wire(answers, HOSTILE[name]))
    assert [one.failure for one in outcomes if one.failure] == []
    failures = [failure for one in outcomes for failure in one.dependent_failures]
    # Not every kind has as many fields as there are entities; what was not scripted is a 404.
    assert {failure.code for failure in failures} <= {FailureCode.INVALID_PAYLOAD, FailureCode.NOT_FOUND}
    assert "milestone_events" not in {failure.dependent for failure in failures}
    invalid = [failure for failure in failures if failure.code is FailureCode.INVALID_PAYLOAD]
    assert all(PLACE not in failure.message and len(failure.message) < 300 for failure in failures)
    assert invalid


@pytest.mark.parametrize("field", sorted(_IDENTITY))
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_identity_ends_the_run_as_a_mismatch_or_costs_its_entity(
    tmp_path: Path, name: str, field: str
) -> None:
    item = plain(1) | {"target_project_id": PROJECT, field: PLACE}
    replies = wire({f"{BASE}/merge_requests": [item]}, HOSTILE[name])
    scope = Scope.parse("acme/rocket!1")

    async def preflight() -> PreflightResult:
        async with gitlab_that_answers(replies) as gitlab:
            return await run_preflight(scope, gitlab=gitlab, snapshots=snapshots, budgets=Budgets())

    snapshots = SnapshotFile(tmp_path / "snapshots.jsonl")
    try:
        result = asyncio.run(preflight())
        failures = [one.failure for one in result.failures]
        assert len(failures) + len(result.fetched) == 1
    except StageFailedError as error:
        failures = [error.failure]
    if (field, name) in {("target_project_id", "null"), ("target_project_id", "absent")}:
        assert failures == []  # old servers do not tell it
        return
    (failure,) = failures
    assert failure.code in (FailureCode.PROJECT_MISMATCH, FailureCode.INVALID_PAYLOAD)
    assert len(failure.message.encode()) < 300
    assert failure.message.isprintable()


def whole(folder: Path, kind: str) -> dict[str, Any]:
    """The real payload with the most fields; some were shortened by hand."""
    return copy.deepcopy(max(payloads(folder, kind), key=len))


def owner(iid: int) -> dict[str, int]:
    return {"iid": iid, "project_id": PROJECT}


def plain(iid: int) -> dict[str, Any]:
    return owner(iid) | {"id": 100 + iid, "title": "t", "state": "opened", "updated_at": "2024-01-01T00:00:00Z"}


def bent_fields(item: dict[str, Any], except_for: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """The item once for each of its fields, with the hostile value there."""
    for field in item.keys() - except_for:
        yield copy.deepcopy(item) | {field: PLACE}


def bent_items(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same, and once for each field of the first note, user or label in it."""
    yield from bent_fields(item)
    for field, value in item.items():
        if field not in _LOOKED_INTO:
            continue
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            for bent in bent_fields(inner):
                yield copy.deepcopy(item) | {field: [bent] if isinstance(value, list) else bent}


def wire(answers: dict[str, Any], hostile: bytes) -> dict[str, Reply]:
    """Each answer as bytes, with the hostile value in its place, or without the field."""
    if hostile == ABSENT:
        return {path: Reply(without_place(answer)) for path, answer in answers.items()}
    place = json.dumps(PLACE).encode()
    return {path: Reply(json.dumps(answer).encode().replace(place, hostile)) for path, answer in answers.items()}


def without_place(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_place(one) for name, one in value.items() if one != PLACE}
    return [without_place(one) for one in value] if isinstance(value, list) else value


def run(ledger: DuckDBLedger, scope: Scope, **options: Any) -> list[EntityOutcome]:
    recorder = start(ledger, f"run-{next(_numbers)}", str(scope))
    return run_up_to_docs(recorder, scope, folder=ledger.path.parent, **options)
