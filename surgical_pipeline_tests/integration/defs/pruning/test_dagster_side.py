"""Which of Dagster's runs go, with everything of theirs, and which stay and why."""

import os
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs import run_pages
from surgical_pipeline.defs.dagster_runs import LEDGER_TAG
from surgical_pipeline.defs.pruning.dagster_side import DagsterSide
from surgical_pipeline.defs.pruning.run_files import RunFiles
from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.pruning import DagsterPruned, PruneWish
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.runs import ledger_name
from surgical_pipeline_tests.integration.defs.two_sides import TwoSides
from surgical_pipeline_tests.many_runs import age_in_dagster

OLD = timedelta(days=40)


class Pruning:
    """Two sides whose Dagster has runs that are old unless told otherwise."""

    def __init__(self, sides: TwoSides, home: Path) -> None:
        self.sides = sides
        self.home = home
        self.instance = sides.instance

    def run(self, status: DagsterRunStatus = DagsterRunStatus.FAILURE, *, old: bool = True, **more: object) -> str:
        run_id = self.sides.make_run(status, **more)  # type: ignore[arg-type]
        if old:
            age_in_dagster(self.home, [run_id], OLD)
        return run_id

    def executed(self) -> str:
        """An old run with events, outputs and logs, which failed and which the ledger does not know."""

        @dg.op
        def preflight() -> int:
            return 1

        @dg.op
        def ingest(_given: int) -> None:
            raise ValueError("no")

        @dg.job(name="surgical_sync_job")
        def failing() -> None:
            ingest(preflight())

        run_id = failing.execute_in_process(instance=self.instance, raise_on_error=False).run_id
        age_in_dagster(self.home, [run_id], OLD)
        return run_id

    def prune(self, *, dry_run: bool = False, triggers: frozenset[Trigger] = frozenset(Trigger)) -> DagsterPruned:
        self.sides.make_run()  # the newest of each asset
        wish = PruneWish(before=utc_now() - timedelta(days=30), triggers=triggers, dry_run=dry_run)
        files = RunFiles(self.instance, self.home)
        return DagsterSide(self.instance, self.sides.ledger, files=files, wish=wish).prune()

    def has(self, run_id: str) -> bool:
        return self.instance.has_run(run_id)

    def files(self, run_id: str) -> list[Path]:
        return sorted(path for path in self.home.rglob("*") if run_id in str(path) and path.is_file())

    def index_rows(self, run_id: str) -> int:
        """Of the run, in the database that all runs share."""
        storage = self.instance.event_log_storage
        with storage.index_connection() as connection:  # type: ignore[attr-defined]
            return sum(
                connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table} WHERE run_id = '{run_id}'").scalar()
                for table in ("event_logs", "asset_check_executions")
            )


@pytest.fixture
def pruning(sides: TwoSides, tmp_path: Path) -> Pruning:
    return Pruning(sides, tmp_path)


def test_an_old_run_goes_with_its_rows_and_all_its_files(pruning: Pruning) -> None:
    run_id = pruning.executed()
    (pruning.home / "snapshots").mkdir()
    (pruning.home / "snapshots" / f"{run_id}.jsonl").write_text("{}\n" * 2000, encoding="utf-8")
    files = pruning.files(run_id)
    assert len(files) >= 4
    assert pruning.index_rows(run_id)
    size = sum(path.stat().st_blocks * 512 for path in files)
    told = pruning.prune(dry_run=True)
    assert pruning.files(run_id) == files
    done = pruning.prune()
    assert (told.runs, told.files) == (done.runs, done.files) == (1, len(files))
    assert size <= told.bytes == done.bytes < size + 100_000, "folders have blocks, too"
    assert not pruning.has(run_id)
    assert (pruning.files(run_id), pruning.index_rows(run_id)) == ([], 0)
    assert pruning.prune().runs == 0


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_what_runs_or_waits_stays_however_old_it_is(pruning: Pruning, status: str) -> None:
    run_id = pruning.run(DagsterRunStatus[status])
    assert pruning.prune() == DagsterPruned()
    assert pruning.has(run_id)


def test_the_newest_run_of_an_asset_stays_though_it_failed(pruning: Pruning) -> None:
    """The catalog names it as the last one that was to make the asset."""
    runs = [pruning.run(), pruning.run()]
    wish = PruneWish(before=utc_now() - timedelta(days=30))
    side = DagsterSide(
        pruning.instance, pruning.sides.ledger, files=RunFiles(pruning.instance, pruning.home), wish=wish
    )
    assert side.prune().kept == {"the newest materialization or check of an asset": 1}
    assert side.going == {runs[0]}
    assert [pruning.has(one) for one in runs] == [False, True]


def test_young_runs_and_runs_of_other_peoples_jobs_stay(pruning: Pruning) -> None:
    @dg.op
    def gives() -> int:
        return 1

    @dg.job
    def another() -> None:
        gives()

    theirs = another.execute_in_process(instance=pruning.instance).run_id
    age_in_dagster(pruning.home, [theirs], OLD)
    files = pruning.files(theirs)
    young = pruning.run(old=False)
    assert pruning.prune() == DagsterPruned()
    assert pruning.has(theirs)
    assert pruning.has(young)
    assert files
    assert pruning.files(theirs) == files


def test_only_runs_of_the_triggers_that_are_named_go(pruning: Pruning) -> None:
    by_hand, by_sensor = pruning.run(), pruning.run(tags={"surgical/trigger": "poll"})
    assert pruning.prune(triggers=frozenset({Trigger.SENSOR})).runs == 1
    assert (pruning.has(by_hand), pruning.has(by_sensor)) == (True, False)


def test_runs_of_the_jobs_that_embed_the_backlog_and_that_prune_go_too(pruning: Pruning) -> None:
    jobs = [defs.resolve_job_def(name) for name in ("embed_backlog", "prune")]
    failed = DagsterRunStatus.FAILURE
    runs = [pruning.instance.create_run_for_job(job_def=job, status=failed).run_id for job in jobs]
    age_in_dagster(pruning.home, runs, OLD)
    assert pruning.prune().runs == 2
    assert not any(map(pruning.has, runs))


def test_a_run_stays_that_is_still_open_in_the_ledger(pruning: Pruning) -> None:
    run_id = pruning.run()
    pruning.sides.begin(run_id)
    assert pruning.prune().kept == {"the ledger does not know its end": 1}
    pruning.sides.reconcile()
    assert pruning.prune().runs == 1


def test_a_success_stays_that_an_older_copy_of_the_ledger_does_not_have(pruning: Pruning) -> None:
    pruning.sides.begin("another").finish_succeeded()
    with pruning.sides.ledger.read() as tx:
        name = ledger_name(tx)
    lost = pruning.run(DagsterRunStatus.SUCCESS, tags={LEDGER_TAG: name})
    elsewhere = pruning.run(DagsterRunStatus.SUCCESS, tags={LEDGER_TAG: "another ledger"})
    assert pruning.prune().kept == {"the ledger does not know its end": 1}
    assert (pruning.has(lost), pruning.has(elsewhere)) == (True, False)


def test_a_run_stays_that_a_young_or_an_open_run_continues(pruning: Pruning) -> None:
    parents = [pruning.run() for _ in range(3)]
    tags = [{"dagster/parent_run_id": one, "dagster/root_run_id": one} for one in parents]
    pruning.run(old=False, tags=tags[0])
    pruning.run(DagsterRunStatus.STARTING, tags=tags[1])
    old = pruning.run(tags=tags[2])
    done = pruning.prune()
    assert (done.runs, done.kept) == (2, {"a run that is not old continues it": 2})
    assert [pruning.has(one) for one in [*parents, old]] == [True, True, False, False]


@pytest.mark.parametrize(
    ("status", "stays"),
    [
        (BulkActionStatus.REQUESTED, True),
        (BulkActionStatus.CANCELING, True),
        (BulkActionStatus.COMPLETED_SUCCESS, False),
        (BulkActionStatus.CANCELED, False),
        (None, False),
    ],
)
def test_a_run_of_a_backfill_stays_as_long_as_that_goes_on(
    pruning: Pruning, status: BulkActionStatus | None, *, stays: bool
) -> None:
    if status is not None:
        pruning.instance.add_backfill(
            PartitionBackfill(
                backfill_id="one", status=status, from_failure=False, tags={}, backfill_timestamp=0.0
            )
        )
    run_id = pruning.run(tags={"dagster/backfill": "one"})
    pruning.prune()
    assert pruning.has(run_id) is stays


def test_files_of_runs_that_dagster_forgot_go_and_what_only_looks_alike_stays(pruning: Pruning) -> None:
    deleted = [pruning.executed(), pruning.executed()]
    pruning.instance.delete_run(deleted[0])  # what the UI does
    pruning.instance.run_storage.delete_run(deleted[1])  # what a kill leaves
    assert all(map(pruning.files, deleted))
    assert pruning.index_rows(deleted[1])
    kept = pruning.run(old=False)
    (pruning.home / "storage" / "an_asset").mkdir()
    theirs = pruning.home / "storage" / "an_asset" / deleted[0].replace("-", "")
    theirs.write_text("theirs", encoding="utf-8")
    runless = pruning.home / "history" / "runs" / ".db"
    runless.touch()
    told = pruning.prune(dry_run=True)
    assert (told.runs, told.leftovers) == (0, 2)
    done = pruning.prune()
    assert (done.leftovers, done.files) == (2, told.files)
    assert [pruning.files(one) for one in deleted] == [[], []]
    assert [pruning.index_rows(one) for one in deleted] == [0, 0]
    assert theirs.exists()
    assert runless.exists()
    assert (pruning.home / "history" / "runs" / "index.db").exists()
    assert pruning.has(kept)
    assert pruning.prune().leftovers == 0


def test_old_logs_of_our_ticks_go(pruning: Pruning) -> None:
    folder = pruning.home / "storage" / "__repository__"
    for name in ("gitlab_changes", "sweep", "somebody_elses"):
        (folder / name).mkdir(parents=True)
        for age, text in (("old", "x" * 5000), ("young", "y")):
            (folder / name / f"{age}.err").write_text(text, encoding="utf-8")
    then = (utc_now() - OLD).timestamp()
    for path in folder.glob("*/old.err"):
        os.utime(path, (then, then))
    assert pruning.prune(dry_run=True).tick_logs == 2
    done = pruning.prune()
    assert (done.tick_logs, done.files) == (2, 2)
    assert done.bytes >= 2 * 5000
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.err"))
    assert left == [
        "gitlab_changes/young.err",
        "somebody_elses/old.err",
        "somebody_elses/young.err",
        "sweep/young.err",
    ]


def test_many_runs_with_one_and_the_same_time_all_go(pruning: Pruning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_pages, "PAGE_SIZE", 2)
    runs = [pruning.run(old=False) for _ in range(7)]
    kept = pruning.run(old=False)
    pruning.sides.begin(kept)
    age_in_dagster(pruning.home, [*runs, kept], OLD)
    with pruning.instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE runs SET update_timestamp = '2001-02-03 04:05:06.000000'")
    done = pruning.prune()
    assert (done.runs, done.kept) == (7, {"the ledger does not know its end": 1})


def test_where_runs_are_kept_in_another_way_only_what_is_deleted_now_is_known(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        pruning = Pruning(TwoSides(instance, tmp_path), tmp_path)
        run_id, newest = pruning.run(old=False), pruning.run(old=False)
        stray = tmp_path / "storage" / "00000000-0000-4000-8000-000000000000"
        stray.mkdir(parents=True)
        wish = PruneWish(before=utc_now() + timedelta(days=1))
        side = DagsterSide(instance, pruning.sides.ledger, files=RunFiles(instance, tmp_path), wish=wish)
        done = side.prune()
        assert (done.runs, done.leftovers) == (1, 0)
        assert (instance.has_run(run_id), instance.has_run(newest)) == (False, True)
        assert stray.exists()


def test_a_report_of_dagsters_own_end_is_not_needed(pruning: Pruning) -> None:
    """A canceled run that never had a process."""
    run_id = pruning.run(DagsterRunStatus.STARTING, old=False)
    pruning.sides.report(run_id, DagsterEventType.RUN_CANCELED)
    age_in_dagster(pruning.home, [run_id], OLD)
    assert pruning.prune().runs == 1
