"""Events in the inbox: real runs settle them, and people see and change what became of them."""

import json
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.sensors.gitlab_webhooks import gitlab_webhooks
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import called
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.ledger.examples import issue, run_sql
from surgical_pipeline_tests.integration.ledger.inbox import receive, states
from surgical_pipeline_tests.ledger_dump import query


def project_id(ledger: Ledger) -> int:
    ((found,),) = query(ledger, "SELECT project_id FROM projects")
    return int(str(found))


def switch_off(instance: dg.DagsterInstance, sensor: str) -> None:
    """As Dagster's UI does."""
    repository = RemoteRepositoryOrigin(
        RegisteredCodeLocationOrigin("surgical_pipeline.definitions"), "__repository__"
    )
    origin = RemoteInstigatorOrigin(repository, sensor)
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.STOPPED))


def run_what_the_sensor_asks_for() -> list[dg.ExecuteInProcessResult]:
    """One tick, and its runs executed as Dagster does."""
    with dg.DagsterInstance.get() as instance:
        result = gitlab_webhooks(dg.build_sensor_context(instance=instance))
        assert isinstance(result, dg.SensorResult)
        return [
            defs.resolve_job_def("surgical_sync_job").execute_in_process(
                run_config=request.run_config,
                tags={**request.tags, "dagster/sensor_name": "gitlab_webhooks"},
                instance=instance,
                raise_on_error=False,
            )
            for request in result.run_requests or []
        ]


def test_a_run_of_a_person_settles_an_event_that_is_older(sync: Sync, ledger: Ledger) -> None:
    sync("acme/rocket#12")
    receive(ledger, issue(12), seq=1, signed=True, project_id=project_id(ledger))
    receive(ledger, issue(13), seq=2, signed=True, project_id=project_id(ledger))
    sync("acme/rocket#12")
    assert states(ledger) == [(1, "done", 0), (2, "pending", 0)]


@pytest.mark.both_ledgers
def test_runs_that_an_event_asks_for_settle_it_or_say_why_not(
    sync: Sync, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    sync("acme/rocket#12")
    rocket = project_id(ledger)
    receive(ledger, issue(12), seq=1, project_id=rocket)
    receive(ledger, issue(13), seq=2, project_id=rocket)
    sandbox.control.add_fault(f"/api/v4/projects/{rocket}/issues/13/discussions", status=403)
    (done,) = run_what_the_sensor_asks_for()
    assert done.success
    assert states(ledger) == [(1, "done", 0), (2, "pending", 1)]
    (run,) = json.loads(called("runs", "list", "--events", "--json").stdout)
    assert (run["run_id"], run["mode"], run["trigger"], run["events_upto"]) == (
        done.run_id,
        "incremental",
        "sensor",
        2,
    )
    (waiting,) = json.loads(called("events", "list", "--state", "pending", "--json").stdout)
    assert (waiting["entity"], waiting["run_id"], waiting["watched"]) == ("acme/rocket#13", done.run_id, True)
    assert waiting["reason"].startswith("FORBIDDEN: ")


@pytest.mark.both_ledgers
def test_people_see_dead_letters_and_retry_or_drop_them(
    sync: Sync, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync("acme/rocket#12")
    for seq in (1, 2, 3):
        receive(ledger, issue(seq), seq=seq, project_id=project_id(ledger))
    with ledger.write("plant") as tx:
        run_sql(
            tx,
            "UPDATE gitlab_events SET state = 'dead', attempts = 5, settled_at = received_at, "
            "reason = 'FORBIDDEN: no' WHERE seq < 3",
        )
    found = [one for one in json.loads(called("doctor", "--json").stdout) if one["check"] == "events"]
    assert [one["found"] for one in found] == ["1 pending, 0 done, 2 dead letters"]
    assert "events list --state dead" in found[0]["what_to_do"]
    listed = [line.split("\t") for line in called("events", "list").stdout.splitlines()]
    assert [(line[0], line[2], line[3], line[6]) for line in listed] == [
        ("3", "pending", "acme/rocket#3", ""),
        ("2", "dead", "acme/rocket#2", "FORBIDDEN: no"),
        ("1", "dead", "acme/rocket#1", "FORBIDDEN: no"),
    ]
    monkeypatch.setenv("SURGICAL_PROJECTS", "other/*")
    first = called("events", "list", "-n", "1").stdout
    assert first.rstrip("\n").endswith("SURGICAL_PROJECTS does not name its project")
    done = called("events", "retry", "1", "3")
    assert done.stdout == "1 events are pending again.\n"
    assert "because there are none: 3" in done.stderr
    assert json.loads(called("events", "drop", "--all", "--json").stdout) == {"changed": [2], "left": []}
    assert [state for _, state, _ in states(ledger)] == ["pending", "ignored", "pending"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "words",
    [
        ("events", "retry"),
        ("events", "drop", "1", "--all"),
        ("events", "drop", "0"),
        ("events", "retry", str(2**63)),
        ("events", "list", "--state", "odd"),
    ],
)
def test_wrong_words_are_refused_before_anything_changes(words: tuple[str, ...]) -> None:
    assert called(*words).exit_code == 2


@pytest.mark.usefixtures("home")
def test_doctor_names_sensors_that_are_switched_off_though_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SURGICAL_WEBHOOK_SECRET", "a secret")
    monkeypatch.setenv("SURGICAL_PUBLISH", str(tmp_path / "published"))
    with dg.DagsterInstance.get() as instance:
        for name in ("gitlab_webhooks", "gitlab_changes", "publish"):
            switch_off(instance, name)
    found = [one for one in json.loads(called("doctor", "--json").stdout) if one["check"] == "sensors"]
    assert [one["found"] for one in found] == [
        "the sensor gitlab_webhooks is switched off in Dagster, but a secret for webhooks is set",
        "the sensor publish is switched off in Dagster, but SURGICAL_PUBLISH is set",
    ]
