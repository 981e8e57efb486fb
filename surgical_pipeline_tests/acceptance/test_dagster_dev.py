"""The job as people run it: queued by a real webserver, launched by a real daemon, in a process of its own."""

from pathlib import Path

import pytest

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline_tests.dagster_dev import DagsterDev
from surgical_pipeline_tests.run_watch import came_through

pytestmark = [pytest.mark.dagster_dev, pytest.mark.usefixtures("sandbox")]


def test_a_launched_run_succeeds_and_is_in_the_ledger_under_its_dagster_id(
    dev: DagsterDev, dev_home: Path
) -> None:
    answer = dev.launch({"project": "acme/rocket", "issue_iids": [12], "mr_iids": [34]})
    assert answer["__typename"] == "LaunchRunSuccess", answer
    run_id = answer["run"]["runId"]
    assert dev.wait_for_end(run_id) == "SUCCESS", dev.log.read_text()[-4000:]
    with DuckDBLedger(dev_home / "ledger.duckdb").read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    assert came_through(result)
    assert (result.trigger, result.scope) == ("launchpad", "acme/rocket#12!34")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"project": "acme/rocket", "issue_iids": [0], "mr_iids": []}, "between 1 and"),
        ({"project": "acme/rocket", "issue_iids": [-3], "mr_iids": []}, "between 1 and"),
        ({"project": "acme/rocket", "issue_iids": ["twelve"], "mr_iids": []}, "Int"),
        ({"project": "not a project", "issue_iids": [12], "mr_iids": []}, "group/project"),
        ({"project": "acme/rocket", "issue_iids": [], "mr_iids": []}, "empty"),
        ({"project": "acme/rocket", "issue_iids": [12], "surprise": 1}, "surprise"),
        ({"project": "acme/rocket", "issue_iids": [12], "dependents": ["gossip"]}, "gossip"),
        ({"project": "acme/rocket", "issue_iids": [12], "entity_timeout_seconds": 0}, "entity_timeout_seconds"),
    ],
)
def test_config_that_cannot_be_meant_is_refused_before_anything_runs(
    dev: DagsterDev, config: dict[str, object], said: str
) -> None:
    answer = dev.launch(config)
    assert answer["__typename"] != "LaunchRunSuccess"
    assert said in str(answer)
