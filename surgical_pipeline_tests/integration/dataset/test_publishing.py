"""A published copy is whole, of one moment, and holds nothing that not everybody may see."""

import json
import os
import random
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.dataset import open_dataset
from surgical_pipeline.dataset.errors import DatasetError, PublishError, PublishRefusedError
from surgical_pipeline.dataset.manifest import Manifest
from surgical_pipeline.dataset.publish_settings import ON_REQUEST
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.dataset.versions import publishing_alone, version_numbers
from surgical_pipeline.ledger.duckdb import copying
from surgical_pipeline.ledger.duckdb.file import wal_bytes
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError, LedgerMissingError
from surgical_pipeline_tests.integration.dataset import publisher
from surgical_pipeline_tests.integration.dataset.everything import HIDDEN_TABLES, SECRET, filled_ledger
from surgical_pipeline_tests.integration.dataset.given import bring, issue_of
from surgical_pipeline_tests.integration.ledger.examples import run_sql
from surgical_pipeline_tests.surroundings import REPOSITORY

pytestmark = pytest.mark.processes
ALL = tuple(ON_REQUEST)


@pytest.fixture
def filled(tmp_path: Path) -> DuckDBLedger:
    return filled_ledger(tmp_path / "ledger.duckdb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "published"


def started(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", publisher.__name__, *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def assert_whole(folder: Path) -> Manifest:
    """The current version has what its manifest says, in the database and as Parquet."""
    with open_dataset(folder) as dataset:
        manifest = dataset.manifest
        assert manifest is not None
        for name, table in manifest.tables.items():
            assert len(dataset.arrow(name)) == table.rows
            parquet = folder / "current" / "parquet" / name / f"{name}.parquet"
            assert dataset.sql("SELECT COUNT(*) AS rows FROM read_parquet($at)", at=str(parquet))["rows"][0] == (
                table.rows
            )
    return manifest


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())


def test_a_version_has_each_table_typed_with_a_manifest_that_tells_it(filled: DuckDBLedger, folder: Path) -> None:
    done = publish(filled, folder, confidential=True, also=ALL)
    manifest = assert_whole(folder)
    assert manifest.tables.keys() == TABLES.keys()
    assert all(table.rows for table in manifest.tables.values())
    assert (manifest.version, manifest.last_run, manifest.confidential) == (1, "run-1", True)
    assert 0 < manifest.window_ms < manifest.seconds * 1000
    assert json.loads((done.path / "manifest.json").read_text())["tables"]["issues"]["columns"][3] == {
        "name": "iid",
        "type": "BIGINT",
        "meaning": "its number in its project",
    }
    assert sorted(path.name for path in done.path.iterdir()) == ["gitlab.duckdb", "manifest.json", "parquet"]
    with duckdb.connect(str(done.path / "gitlab.duckdb"), read_only=True) as shell:
        types = shell.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'issues' ORDER BY column_index"
        ).fetchall()
        assert shell.execute("SELECT COUNT(*) FROM gitlab.issues").fetchone() == (2,)
    kinds = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    assert [(name, kinds.get(kind, kind)) for name, kind in types] == [
        (column.name, str(column.type)) for column in TABLES["issues"].columns
    ]


def test_what_is_confidential_or_internal_is_nowhere_in_a_version(filled: DuckDBLedger, folder: Path) -> None:
    everything = publish(filled, folder, confidential=True, also=ALL)
    with open_dataset(everything.path) as whole:
        openly = publish(filled, folder, also=ALL)
        assert version_numbers(folder) == [2], "the one before goes at once, open or not"
        dataset = open_dataset(openly.path)
        assert SECRET in whole.issues().to_csv()
        for name in TABLES:
            assert SECRET not in dataset.table(name)().to_csv(), name
        for name in HIDDEN_TABLES:
            assert (name, 0 < len(dataset.arrow(name)) < len(whole.arrow(name))) == (name, True)
    assert SECRET.encode() not in bytes_of(openly.path)


def test_documents_and_vectors_are_published_on_request(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    with open_dataset(folder) as dataset:
        assert not {"documents", "embeddings"} & set(dataset.tables)
        with pytest.raises(DatasetError, match="SURGICAL_PUBLISH_WITH=documents"):
            dataset.table("documents")
    publish(filled, folder, also=["embeddings"])
    with open_dataset(folder) as dataset:
        (vector,) = dataset.embeddings()["vector"]
        assert vector == pytest.approx([0.6, 0.8])


def test_files_are_for_those_who_may_read_the_folder(filled: DuckDBLedger, folder: Path) -> None:
    def modes() -> set[tuple[bool, str]]:
        inside = [path for path in (folder / "versions").rglob("*") if path.parent != folder]
        return {(path.is_dir(), oct(stat.S_IMODE(path.stat().st_mode))) for path in inside}

    before = os.umask(0)
    try:
        publish(filled, folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert modes() == {(True, "0o700"), (False, "0o600")}
        folder.chmod(0o750)
        publish(filled, folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "current" / "gitlab.duckdb").stat().st_mode) == 0o640
    assert stat.S_IMODE((folder / "current" / "parquet").stat().st_mode) == 0o750


def test_a_process_that_has_a_version_open_goes_on_reading_it(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    reader = started("read", folder)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "1\n"
    with open_dataset(folder) as mine:
        for version in (2, 3, 4):
            bring(filled, issue_of(10 + version))
            assert publish(filled, folder).manifest.version == version
        assert version_numbers(folder) == [1, 3, 4], "the one in use, the one before, and the current one"
        assert (mine.version, len(mine.issues())) == (1, 1)
        with open_dataset(folder) as fresh:
            assert (fresh.version, len(fresh.issues())) == (4, 4)
    assert reader.communicate("go on\n")[0] == "1\n"
    publish(filled, folder)
    assert version_numbers(folder) == [4, 5]


def test_readers_that_stay_open_stop_no_sync_and_no_publish(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    with open_dataset(folder), duckdb.connect(str(folder / "current" / "gitlab.duckdb"), read_only=True):
        for number in range(10):
            bring(filled, issue_of(10 + number))
            publish(filled, folder)
        assert filled.stats.wait_ms < 500
    assert assert_whole(folder).tables["issues"].rows == 11


def test_killed_at_any_moment_it_leaves_the_version_before(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    choice = random.Random(20)
    for number in range(20):
        bring(filled, issue_of(10 + number))
        killed = started("publish", filled.path, folder)
        assert killed.stdout is not None
        killed.stdout.readline()
        time.sleep(choice.uniform(0, 0.6))
        killed.kill()
        killed.communicate()
        rows = assert_whole(folder).tables["issues"].rows
        assert 1 <= rows <= number + 2
    publish(filled, folder)
    assert assert_whole(folder).tables["issues"].rows == 21
    assert [path.name for path in (folder / "versions").iterdir() if path.name.startswith(".")] == []
    assert [path.name for path in folder.iterdir() if path.name.startswith(".current")] == []


@pytest.mark.parametrize("room", [0, 30_000, 200_000, 400_000])
def test_a_full_disk_leaves_the_version_before(filled: DuckDBLedger, folder: Path, room: int) -> None:
    publish(filled, folder)
    with filled.write("grow") as tx:
        run_sql(tx, f"UPDATE entities SET title = '{os.urandom(400_000).hex()}' WHERE iid = 1")
    program = (
        "import sys; from pathlib import Path\n"
        "from surgical_pipeline.dataset.publishing import publish\n"
        "from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger\n"
        "try: publish(DuckDBLedger(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(filled.path), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY)),
    )
    assert done.stdout.startswith("PublishError"), done.stdout + done.stderr
    assert "the version before stays" in done.stdout
    assert assert_whole(folder).version == 1
    assert version_numbers(folder) == [1]
    assert list((folder / "versions").glob(".*")) == []


def test_a_folder_that_cannot_be_one_of_copies_is_refused(filled: DuckDBLedger, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(PublishRefusedError, match="is a file"):
        publish(filled, file)
    with pytest.raises(PublishRefusedError, match="does not exist: create it first"):
        publish(filled, tmp_path / "no" / "folder")
    taken = tmp_path / "taken"
    (taken / "current").mkdir(parents=True)
    with pytest.raises(PublishRefusedError, match="is not a link that we made"):
        publish(filled, taken)
    with pytest.raises(PublishError, match="could not be written"):
        publish(filled, Path("/proc/published"))


def test_folders_of_others_among_the_versions_stay(filled: DuckDBLedger, folder: Path) -> None:
    theirs = folder / "versions" / "1"
    theirs.mkdir(parents=True)
    (theirs / "precious").write_text("mine")
    for _ in range(3):
        publish(filled, folder)
    assert version_numbers(folder) == [1, 3, 4]
    assert (theirs / "precious").read_text() == "mine"


def test_without_a_ledger_nothing_is_published(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(LedgerMissingError):
        publish(DuckDBLedger(tmp_path / "none.duckdb"), folder)
    assert version_numbers(folder) == []
    assert not (folder / "current").exists()


def test_one_publishes_at_a_time(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    with (
        publishing_alone(folder, timeout_seconds=0),
        pytest.raises(PublishRefusedError, match="Another process is publishing"),
    ):
        publish(filled, folder, wait_at_most_seconds=0.2)
    assert publish(filled, folder).manifest.version == 2


def test_what_the_log_alone_has_is_published_too(filled: DuckDBLedger, folder: Path) -> None:
    filled.checkpoint()
    bring(filled, issue_of(7))
    assert wal_bytes(filled.path)
    assert publish(filled, folder).manifest.tables["issues"].rows == 2


def test_a_ledger_that_is_replaced_while_it_is_copied_is_not_published(
    filled: DuckDBLedger, folder: Path, tmp_path: Path
) -> None:
    """Somebody moves a backup into its place, without regard to the lock."""
    publish(filled, folder)
    other = filled_ledger(tmp_path / "other.duckdb")

    class Replaced(DuckDBLedger):
        """Its file is replaced between its log's copy and its own."""

        def copy_to(self, destination: Path, *, without: Collection[str] = ()) -> None:
            def trace(frame: object, event: str, _argument: object) -> None:
                code = getattr(frame, "f_code", None)
                if event == "call" and code is copying.copy_bytes.__code__ and other.path.exists():
                    other.path.rename(filled.path)

            sys.setprofile(trace)
            try:
                super().copy_to(destination, without=without)
            finally:
                sys.setprofile(None)

    with pytest.raises(LedgerError, match="Another file was put in the place"):
        publish(Replaced(filled.path), folder)
    assert assert_whole(folder).version == 1


def test_a_version_of_a_newer_program_is_refused(filled: DuckDBLedger, folder: Path) -> None:
    done = publish(filled, folder)
    path = done.path / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(DatasetError, match="update it, or publish again"):
        open_dataset(folder)


def test_a_version_of_an_older_program_has_the_columns_that_it_has(filled: DuckDBLedger, folder: Path) -> None:
    """Its manifest says which; what came later is unknown there."""
    done = publish(filled, folder)
    manifest = json.loads((done.path / "manifest.json").read_text())
    columns = manifest["tables"]["issues"]["columns"]
    manifest["tables"]["issues"]["columns"] = [one for one in columns if one["name"] != "weight"]
    (done.path / "manifest.json").write_text(json.dumps(manifest))
    with open_dataset(folder) as dataset:
        assert "weight" not in dataset.issues().columns
        with pytest.raises(DatasetError, match="no column of issues 'weight'"):
            dataset.issues(weight=3)


@pytest.fixture(autouse=True)
def _no_copy_of_the_ledger_stays(folder: Path) -> Iterator[None]:
    yield
    assert list(folder.rglob("ledger.duckdb*")) == []
