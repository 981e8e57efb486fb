from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.defs.asset_keys import ASSETS
from surgical_pipeline.defs.sync.asset import surgical_sync
from surgical_pipeline.defs.sync.catalog import described
from surgical_pipeline.defs.sync.stage_report import figures_of
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityType

ISSUE, MERGE_REQUEST = EntityType.ISSUE, EntityType.MERGE_REQUEST


def outcome(iid: int, kind: EntityType = ISSUE, **values: object) -> EntityOutcome:
    return EntityOutcome(entity_type=kind, iid=iid).model_copy(update=values)


def failure(dependent: str | None = None) -> Failure:
    return Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent=dependent)


OUTCOMES = [
    outcome(1, ingested=True, dependent_failures=(failure("discussions"),)),
    outcome(2, stale_skipped=True, dependents_stale_skipped=("label_events",)),
    outcome(3, failure=failure()),
    outcome(4, tombstoned=True),
    outcome(5, ingested=True, unchanged=True),
    outcome(34, MERGE_REQUEST, ingested=True, regenerated_document_ids=("a", "b")),
]


def test_each_assets_figures_are_its_own() -> None:
    figures = figures_of(Phase.INGEST, OUTCOMES)
    issues, merge_requests = figures["issues"], figures["merge_requests"]
    assert issues == {
        "requested": 5,
        "written": 2,
        "already_newer": 1,
        "tombstoned": 1,
        "unchanged": 1,
        "failed": 1,
    }
    assert (merge_requests["requested"], merge_requests["written"]) == (1, 1)


def test_dependents_count_entities_that_were_asked_for_theirs() -> None:
    figures = figures_of(Phase.DEPENDENTS, OUTCOMES)
    assert figures["discussions"] == {"entities": 3, "failed": 1, "already_newer": 0}
    assert figures["resource_events"] == {"entities": 3, "failed": 0, "already_newer": 1}


def test_documents_are_counted_by_the_docs_stage() -> None:
    assert figures_of(Phase.DOCS, OUTCOMES) == {"documents": {"documents_regenerated": 2}}


@pytest.mark.parametrize("key", ASSETS, ids=lambda key: key.to_user_string())
def test_every_asset_has_kinds_a_place_and_its_code(key: dg.AssetKey) -> None:
    spec = surgical_sync.get_asset_spec(key)
    assert {"python", "duckdb"} <= spec.kinds
    assert ("gitlab" in spec.kinds) is (key.path[0] == "gitlab")
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert reference.file_path.endswith(f"/stages/{spec.tags['surgical/stage']}.py")


def test_where_the_ledger_is_and_whose_it_is_come_from_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SURGICAL_LEDGER", str(tmp_path / "ledger.duckdb"))
    monkeypatch.setenv("SURGICAL_OWNERS", "ana@example.com, team:data")
    spec = described(dg.AssetSpec("documents"))
    assert spec.metadata["dagster/uri"] == f"duckdb://{tmp_path}/ledger.duckdb"
    assert spec.owners == ["ana@example.com", "team:data"]
