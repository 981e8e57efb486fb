from itertools import chain

from surgical_pipeline.defs.sensors.sweep import RUN_SIZE, scopes_of
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.known import KnownProject

ROCKET = KnownProject(4201, "acme/Rocket")


def test_scopes_hold_every_entity_once_and_no_more_than_a_run_takes() -> None:
    keys = [EntityKey(kind, iid) for kind in EntityType for iid in range(1, RUN_SIZE)]
    scopes = list(scopes_of(ROCKET, keys))
    assert [len(scope) for scope in scopes] == [RUN_SIZE, RUN_SIZE - 2]
    assert list(chain.from_iterable(scope.keys() for scope in scopes)) == keys
    assert {scope.project for scope in scopes} == {"4201"}
    assert list(scopes_of(ROCKET, [])) == []
