import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.domain.unchanged import StoredEntity, is_unchanged, same_content

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
PAYLOAD: dict[str, Any] = {
    "iid": 34,
    "title": "Engine",
    "updated_at": "2026-05-04T12:00:00Z",
    "sha": "aaa",
    "labels": [{"name": "bug"}],
    "user_notes_count": 3,
    "upvotes": 0,
    "author": {"username": "ada", "avatar_url": "https://gitlab.example.com/a.png"},
    "merge_status": "unchecked",
    "has_conflicts": False,
}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def record(**changes: Any) -> EntityRecord:
    return EntityRecord(
        key=EntityKey(EntityType.MERGE_REQUEST, 34),
        project_id=7,
        gitlab_id=1034,
        title="Engine",
        state="opened",
        updated_at=NOON,
        fetched_at=at(5000),
        payload=json.dumps(PAYLOAD | changes),
    )


STORED = StoredEntity(
    payload=json.dumps(PAYLOAD),
    fetched_at=at(1000),
    same_since=at(1000),
    dependents=dict.fromkeys(CORE_DEPENDENTS, at(1001)),
)


def unchanged(
    stored: StoredEntity = STORED,
    new: EntityRecord | None = None,
    *,
    wanted: tuple[Dependent, ...] = CORE_DEPENDENTS,
) -> bool:
    return is_unchanged(new or record(), stored, dependents=wanted, believed=at(5005))


def with_times(**times: float) -> StoredEntity:
    return replace(
        STORED, dependents={**STORED.dependents, **{Dependent[one.upper()]: at(t) for one, t in times.items()}}
    )


def test_a_record_that_shows_what_is_stored_is_unchanged() -> None:
    assert unchanged()


@pytest.mark.parametrize(
    "change",
    [
        {"sha": "bbb"},
        {"user_notes_count": 2},
        {"upvotes": 1},
        {"upvotes": False},
        {"labels": [{"name": "defect"}]},
        {"labels": []},
        {"labels": None},
        {"author": {"username": "grace"}},
        {"updated_at": "2026-05-04T12:00:01Z"},
    ],
    ids=str,
)
def test_any_other_value_of_a_field_is_a_change(change: dict[str, Any]) -> None:
    assert not unchanged(new=record(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"merge_status": "can_be_merged"},
        {"has_conflicts": True},
        {"detailed_merge_status": "mergeable"},
        {"author": {"username": "ada", "avatar_url": None}},
    ],
    ids=str,
)
def test_volatile_fields_do_not_count(change: dict[str, Any]) -> None:
    assert unchanged(new=record(**change))


def test_only_fields_that_both_have_are_compared() -> None:
    assert same_content('{"iid":1,"changes_count":"3"}', '{"iid":1,"subscribed":true}')


@pytest.mark.parametrize(
    "stored",
    [
        replace(STORED, dependents={}),
        replace(STORED, dependents={one: at(1001) for one in CORE_DEPENDENTS[1:]}),
        with_times(discussions=999),
        replace(STORED, same_since=at(30), dependents=dict.fromkeys(CORE_DEPENDENTS, at(64))),
        with_times(discussions=5006),
        replace(STORED, fetched_at=at(5006)),
    ],
    ids=[
        "none fetched",
        "one missing",
        "older than the row",
        "not settled",
        "from the future",
        "row of the future",
    ],
)
def test_dependents_that_may_be_out_of_date_are_fetched(stored: StoredEntity) -> None:
    assert not unchanged(stored)


def test_dependents_fetched_after_the_row_became_what_it_is_still_count_when_it_was_seen_again_later() -> None:
    assert unchanged(replace(STORED, fetched_at=at(4000)))
    assert not unchanged(replace(STORED, fetched_at=at(4000), same_since=at(4000)))


def test_a_dependent_that_its_kind_does_not_have_is_not_missed() -> None:
    assert unchanged(wanted=(*CORE_DEPENDENTS, Dependent.LINKS))
    assert not unchanged(wanted=(*CORE_DEPENDENTS, Dependent.CLOSES_ISSUES))


def test_code_that_is_certainly_current_counts_whenever_it_was_fetched() -> None:
    early = with_times(diffs=-500)
    wanted = (*CORE_DEPENDENTS, Dependent.DIFFS)
    assert not unchanged(early, wanted=wanted)
    assert unchanged(replace(early, current_code=frozenset({Dependent.DIFFS})), wanted=wanted)
