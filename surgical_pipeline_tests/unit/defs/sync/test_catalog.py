import re
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.defs.asset_keys import ASSETS, DOCUMENTS, RESOURCE_EVENTS
from surgical_pipeline.defs.publishing import published
from surgical_pipeline.defs.report import report
from surgical_pipeline.defs.sync.asset import surgical_sync
from surgical_pipeline.defs.sync.catalog import column_schema, described
from surgical_pipeline_tests.surroundings import REPOSITORY

SPECS = sorted((*surgical_sync.specs, *report.specs, *published.specs), key=lambda spec: spec.key)
OURS = pytest.mark.parametrize("key", ASSETS, ids=lambda key: key.to_user_string())
ALL = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.key.to_user_string())


@OURS
def test_an_asset_that_a_sync_writes_has_kinds_and_the_code_of_its_stage(key: dg.AssetKey) -> None:
    spec = surgical_sync.get_asset_spec(key)
    assert {"python", "duckdb"} <= spec.kinds
    assert ("gitlab" in spec.kinds) is ("gitlab" in key.path)
    code, page = spec.metadata["dagster/code_references"].code_references
    stage = spec.tags["surgical/stage"]
    assert (Path(code.file_path).stem, code.label) == (stage, f"the stage {stage}")
    assert "async def run_" in Path(code.file_path).read_text().splitlines()[code.line_number - 1]
    assert page.file_path == str(REPOSITORY / "docs/data.md")


def test_a_ledger_in_postgresql_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGICAL_LEDGER", "postgresql://ada:secret@db.test:5433/ledger")
    spec = described(dg.AssetSpec(DOCUMENTS))
    assert spec.kinds == {"python", "postgres"}
    assert spec.metadata["dagster/uri"] == "postgresql://ada@db.test:5433/ledger"
    assert "secret" not in repr(spec)


def test_an_address_in_quotes_leaves_the_place_out_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SURGICAL_LEDGER", '"postgresql://ada@db.test/ledger"')
    assert "dagster/uri" not in described(dg.AssetSpec(DOCUMENTS)).metadata


@ALL
def test_every_asset_has_kinds_and_a_description_and_names_a_page_that_is_there(spec: dg.AssetSpec) -> None:
    assert "python" in spec.kinds
    assert spec.description
    page, _, place = spec.metadata["docs"].partition("#")
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert not place or place in {heading.lower().replace(" ", "-") for heading in headings}


@OURS
def test_an_asset_has_the_columns_of_its_typed_table(key: dg.AssetKey) -> None:
    shown = surgical_sync.get_asset_spec(key).metadata["dagster/column_schema"]
    if key == RESOURCE_EVENTS:
        return
    assert [(one.name, one.type, one.description) for one in shown.columns] == [
        (one.name, str(one.type), one.meaning) for one in TABLES[key.path[-1]].columns
    ]


def test_an_asset_of_several_tables_has_the_columns_of_all_and_says_which_only_some_have() -> None:
    shown = surgical_sync.get_asset_spec(RESOURCE_EVENTS).metadata
    columns = {one.name: one.description for one in shown["dagster/column_schema"].columns}
    kinds = ("label_events", "state_events", "milestone_events")
    assert shown["dagster/table_name"] == ", ".join(f"gitlab.{kind}" for kind in kinds)
    assert columns.keys() == {one.name for kind in kinds for one in TABLES[kind].columns}
    assert columns["created_at"] == "when"
    assert columns["action"] == "`add` or `remove` (label_events, milestone_events)"
    assert columns["state"] == "the new state: `closed`, `reopened`, `merged` (state_events)"


def test_a_column_stands_once_in_the_columns_of_several_tables() -> None:
    names = [one.name for one in column_schema("label_events", "state_events").columns]
    assert len(names) == len(set(names))


def test_where_the_ledger_is_and_whose_it_is_come_from_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SURGICAL_LEDGER", str(tmp_path / "ledger.duckdb"))
    monkeypatch.setenv("SURGICAL_OWNERS", "ana@example.com, team:data")
    spec = described(dg.AssetSpec(DOCUMENTS))
    assert spec.metadata["dagster/uri"] == f"duckdb://{tmp_path}/ledger.duckdb"
    assert spec.owners == ["ana@example.com", "team:data"]


def test_settings_that_are_wrong_leave_the_place_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Definitions load; a run says what is wrong."""
    monkeypatch.setenv("SURGICAL_LEDGER", str(tmp_path / "no-such-folder" / "ledger.duckdb"))
    assert "dagster/uri" not in described(dg.AssetSpec(DOCUMENTS)).metadata
