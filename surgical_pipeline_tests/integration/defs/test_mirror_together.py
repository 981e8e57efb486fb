"""The mirror beside runs that start, on a ledger in which both write at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg

from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.ledger.runs import find_run, set_dagster_status
from surgical_pipeline_tests.integration.defs.two_sides import make_run
from surgical_pipeline_tests.integration.ledger.postgres.test_together import wait_until_it_waits
from surgical_pipeline_tests.postgres_server import PostgresServer


def test_a_mirror_that_knows_one_run_and_not_another_does_not_wait_in_a_circle_with_one_that_starts(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with postgres.temporary() as database, dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        ledger = postgres.ledger(database)
        known = make_run(instance)
        mirror = Mirror(instance, ledger)
        mirror.reconcile()
        changed = instance.get_run_by_id(known)
        assert changed is not None
        instance.report_run_canceling(changed)
        new = make_run(instance)
        records = [record for run_id in (known, new) if (record := instance.get_run_record_by_id(run_id))]
        with ThreadPoolExecutor(1) as threads:
            with ledger.write("start run") as tx:
                tx.wait_for_turn("insert_run")
                passing = threads.submit(mirror.bring_over, records)
                wait_until_it_waits(ledger, passing)
                set_dagster_status(tx, known, "STARTED")
            passing.result(timeout=60)
        with ledger.read() as tx:
            rows = [find_run(tx, run_id) for run_id in (known, new)]
        assert [row and row.dagster_status for row in rows] == ["CANCELING", "STARTING"]
