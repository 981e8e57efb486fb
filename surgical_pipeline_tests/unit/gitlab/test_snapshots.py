import pickle
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.snapshots import SnapshotError, SnapshotFile

NOW = datetime(2024, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)


def record(iid: int, *, title: str = "Seal the tank") -> EntityRecord:
    return EntityRecord(
        key=EntityKey(EntityType.MERGE_REQUEST, iid),
        project_id=7,
        gitlab_id=1000 + iid,
        title=title,
        state="opened",
        updated_at=NOW,
        fetched_at=NOW + timedelta(seconds=iid),
        payload=f'{{"title":"{title}"}}',
        sha="abc",
        target_project_id=7,
        target_branch="main",
    )


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotFile:
    return SnapshotFile(tmp_path / "runs" / "snapshots.jsonl")


def test_records_come_back_as_they_were_in_batches(snapshots: SnapshotFile) -> None:
    records = [record(iid) for iid in range(1, 251)]
    snapshots.append(records[:99])
    snapshots.append(records[99:])
    batches = list(snapshots.batches())
    assert [len(batch) for batch in batches] == [100, 100, 50]
    assert [one for batch in batches for one in batch] == records
    assert [len(batch) for batch in snapshots.batches(size=200)] == [200, 50]


def test_an_issue_comes_back_as_one(snapshots: SnapshotFile) -> None:
    issue = EntityRecord(
        key=EntityKey(EntityType.ISSUE, 3),
        project_id=7,
        gitlab_id=9,
        title="t",
        state="closed",
        updated_at=NOW,
        fetched_at=NOW,
        payload="{}",
        confidential=True,
        moved_to_id=4,
    )
    snapshots.append([issue])
    assert list(snapshots.batches()) == [(issue,)]


def test_only_its_owner_may_read_it(snapshots: SnapshotFile) -> None:
    snapshots.append([record(1)])
    assert stat.S_IMODE(snapshots.path.stat().st_mode) == 0o600


def test_no_records_make_an_empty_file_but_a_missing_file_is_an_error(snapshots: SnapshotFile) -> None:
    with pytest.raises(SnapshotError, match="run preflight again"):
        list(snapshots.batches())
    snapshots.append([])
    assert list(snapshots.batches()) == []


def test_a_torn_last_line_is_an_error_only_once_it_is_reached(snapshots: SnapshotFile) -> None:
    snapshots.append([record(1), record(2), record(3)])
    content = snapshots.path.read_bytes()
    snapshots.path.write_bytes(content[:-20])
    batches = snapshots.batches(size=1)
    assert next(batches) == (record(1),)
    assert next(batches) == (record(2),)
    with pytest.raises(SnapshotError, match="line 3"):
        next(batches)


@pytest.mark.parametrize("line", [b"null", b"[]", b"{}", b'{"key": 3}', b'{"key": ["issue", 1]}', b"\xff", b"\n"])
def test_a_foreign_line_is_an_error(snapshots: SnapshotFile, line: bytes) -> None:
    snapshots.append([])
    snapshots.path.write_bytes(line)
    with pytest.raises(SnapshotError, match="line 1"):
        list(snapshots.batches())


def test_a_batch_of_no_records_is_refused(snapshots: SnapshotFile) -> None:
    with pytest.raises(ValueError, match="at least one"):
        list(snapshots.batches(size=0))


def test_deleting_twice_is_fine(snapshots: SnapshotFile) -> None:
    snapshots.append([record(1)])
    snapshots.delete()
    snapshots.delete()
    assert not snapshots.path.exists()


def test_a_snapshot_file_survives_a_pickle(snapshots: SnapshotFile) -> None:
    assert pickle.loads(pickle.dumps(snapshots)) == snapshots  # noqa: S301  our own bytes


@given(title=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_storable_text_survives(title: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    snapshots = SnapshotFile(tmp_path_factory.mktemp("any") / "s.jsonl")
    snapshots.append([record(1, title=title), record(2, title=title)])
    assert list(snapshots.batches()) == [(record(1, title=title), record(2, title=title))]
