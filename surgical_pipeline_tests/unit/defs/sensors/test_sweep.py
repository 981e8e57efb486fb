from itertools import chain

import pytest

from surgical_pipeline.defs.sensors.sweep import RUN_SIZE, is_watched, scopes_of
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.known import KnownProject

ROCKET = KnownProject(4201, "acme/Rocket")


@pytest.mark.parametrize(
    "names", [["acme/rocket"], ["other/one", "4201"], ["acme/*"], ["ACME/*"], ["other/*", "acme/rocket"]], ids=str
)
def test_a_project_is_watched_by_its_path_its_id_or_its_group(names: list[str]) -> None:
    assert is_watched(ROCKET, names)


@pytest.mark.parametrize(
    "names", [[], ["acme/rock"], ["acme"], ["acm*"], ["acm/*"], ["420"], ["rocket/*"]], ids=str
)
def test_a_project_that_no_name_means_is_not(names: list[str]) -> None:
    assert not is_watched(ROCKET, names)


def test_a_group_covers_its_subgroups() -> None:
    assert is_watched(KnownProject(1, "acme/engines/raptor"), ["acme/*"])


def test_scopes_hold_every_entity_once_and_no_more_than_a_run_takes() -> None:
    keys = [EntityKey(kind, iid) for kind in EntityType for iid in range(1, RUN_SIZE)]
    scopes = list(scopes_of(ROCKET, keys))
    assert [len(scope) for scope in scopes] == [RUN_SIZE, RUN_SIZE - 2]
    assert list(chain.from_iterable(scope.keys() for scope in scopes)) == keys
    assert {scope.project for scope in scopes} == {"4201"}
    assert list(scopes_of(ROCKET, [])) == []
