"""`metrics serve` as a process, and `/metrics` of a real receiver: beside a sync, a held ledger and nonsense."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.ledger.processes import beside
from surgical_pipeline_tests.receiver_process import OURS, PROGRAM, ReceiverProcess

pytestmark = pytest.mark.processes


def environment(home: Path, **own: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return inherited | {"DAGSTER_HOME": str(home)} | own


@contextmanager
def serving(home: Path, **own: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of its page, and the process; killed at the end if it still runs."""
    command = [PROGRAM, "metrics", "serve", "--port", "0", "--json"]
    with (
        (home / "metrics.log").open("w") as log,
        subprocess.Popen(
            command, env=environment(home, **own), cwd=home, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            document = "".join(iter(process.stdout.readline, "}\n")) + "}"
            yield json.loads(document)["url"], process
        finally:
            process.kill()


def values(page: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_after_a_sync_it_tells_of_its_run_and_of_nothing_that_has_a_name(sync: Sync, home: Path) -> None:
    sync("acme/rocket#12+9999")
    with serving(home) as (url, process):
        page = httpx.get(url, timeout=20).text
        assert httpx.get(url.replace("/metrics", "/readyz")).json() == {"ready": True, "ledger": {"trouble": None}}
        assert httpx.get(url.replace("/metrics", "/healthz")).text == "ok\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    found = values(page)
    assert found["surgical_ledger_up",] == 1
    assert found["surgical_runs_total",] == 1
    assert found["surgical_entity_failures_total", "NOT_FOUND"] == 1
    assert found["surgical_last_hour_http_requests",] > 0
    assert found["surgical_documents",] > 0
    assert found["surgical_documents_without_vector",] == 0
    assert "acme" not in page
    assert "Traceback" not in (home / "metrics.log").read_text()


def test_a_held_ledger_costs_a_few_seconds_and_it_ends_in_time(sync: Sync, home: Path) -> None:
    sync("acme/rocket#12")
    with serving(home) as (url, process), beside("hold_write", home / "ledger.duckdb"):
        began = time.monotonic()
        found = values(httpx.get(url, timeout=20).text)
        assert time.monotonic() - began < 6
        assert found["surgical_ledger_up",] == 0
        assert httpx.get(url.replace("/metrics", "/readyz"), timeout=20).status_code == 503
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert time.monotonic() - began < 8


def test_on_a_full_installation_the_receiver_serves_the_same_page_and_its_own(sync: Sync, home: Path) -> None:
    sync("acme/rocket#12")
    with ReceiverProcess(home) as receiver:
        found = values(httpx.get(f"{receiver.base}/metrics", timeout=20).text)
    assert (found["surgical_ledger_up",], found["surgical_receiver_spool_up",]) == (1, 1)
    assert found["surgical_runs_total",] == 1


def test_with_a_token_it_may_listen_where_others_can_reach_it(tmp_path: Path) -> None:
    with serving(tmp_path, SURGICAL_METRICS_TOKEN="s3cret") as (url, _):
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert "s3cret" not in (tmp_path / "metrics.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "own", "code", "said"),
    [
        (["--host", "0.0.0.0"], {}, 2, "SURGICAL_METRICS_TOKEN"),  # noqa: S104  it is refused
        ([], {"SURGICAL_METRICS_TOKEN": "'v3ry'"}, 2, "in quotes"),
        ([], {"SURGICAL_METRICS_TOKEN": "v3ry secret"}, 2, "holds characters"),
        ([], {"SURGICAL_LEDGER": "/no/such/folder/ledger.duckdb"}, 2, "does not exist"),
        (["--host", "no.such.host.invalid"], {"SURGICAL_METRICS_TOKEN": "x"}, 1, "cannot listen"),
        (["--host", "192.0.2.1"], {"SURGICAL_METRICS_TOKEN": "x"}, 1, "cannot listen"),
    ],
)
def test_what_it_refuses_to_start_with_is_one_line(
    tmp_path: Path, arguments: list[str], own: dict[str, str], code: int, said: str
) -> None:
    done = subprocess.run(
        [PROGRAM, "metrics", "serve", "--port", "0", *arguments],
        env=environment(tmp_path, **own),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
    assert said in done.stderr
    assert "v3ry" not in done.stderr
