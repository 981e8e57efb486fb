"""Many at once on what nobody has used yet; `make soak` does it with 16, ten times."""

from pathlib import Path

import pytest

from surgical_pipeline_tests.soak.first_runs import first_syncs, first_writes
from surgical_pipeline_tests.soak.installation import installed


def test_six_syncs_at_once_on_a_new_dagster_home_all_succeed(tmp_path: Path) -> None:
    with installed(tmp_path) as installation:
        assert first_syncs(installation, processes=6, rounds=2) == []


@pytest.mark.parametrize("old", [False, True], ids=["new ledger", "old ledger"])
def test_eight_first_windows_at_once_make_or_migrate_a_ledger_once(tmp_path: Path, old: bool) -> None:
    for number in range(2):
        assert first_writes(tmp_path / f"{number}.duckdb", processes=8, old=old) == []
