"""A receiver's `/metrics`: what it tells of itself, and to whom."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.metrics.app import MetricsPage
from surgical_pipeline.metrics.collecting import LedgerMetrics
from surgical_pipeline_tests.integration.webhook.receiver import RunningReceiver, issue_hook

Values = dict[tuple[str, ...], float]


def page(folder: Path, *, token: str | None = None) -> MetricsPage:
    return MetricsPage(
        LedgerMetrics(lambda: DuckDBLedger(folder / "ledger.duckdb", lock_timeout_seconds=1), []),
        token=None if token is None else SecretStr(token),
    )


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[RunningReceiver]:
    with RunningReceiver(tmp_path, metrics=page(tmp_path)) as running:
        yield running


def read(receiver: RunningReceiver, **headers: str) -> Values:
    answer = httpx.get(f"{receiver.url}/metrics", headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_it_counts_deliveries_and_what_waits_though_there_is_no_ledger(watched: RunningReceiver) -> None:
    watched.post(issue_hook(1))
    watched.post(issue_hook(2))
    watched.post(issue_hook(3), headers={"X-Gitlab-Token": "wrong"})
    found = read(watched)
    assert found["surgical_receiver_spool_up",] == 1
    assert found["surgical_receiver_spool_events",] == 2
    assert found["surgical_receiver_deliveries_total", "accepted"] == 2
    assert found["surgical_receiver_deliveries_total", "refused_secret"] == 1
    assert found["surgical_receiver_drain_trouble_seconds",] == 0


def test_a_spool_that_cannot_be_used_is_told(watched: RunningReceiver) -> None:
    watched.spool.close()
    found = read(watched)
    assert found["surgical_receiver_spool_up",] == 0
    assert ("surgical_receiver_spool_events",) not in found


def test_who_comes_through_a_proxy_is_refused(watched: RunningReceiver) -> None:
    answer = httpx.get(f"{watched.url}/metrics", headers={"X-Forwarded-For": "10.0.0.7"})
    assert answer.status_code == 403
    assert "surgical_receiver" not in answer.text


def test_with_a_token_only_who_shows_it_may_read(tmp_path: Path) -> None:
    with RunningReceiver(tmp_path, metrics=page(tmp_path, token="s3cret")) as receiver:
        refused = httpx.get(f"{receiver.url}/metrics")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert "surgical_receiver_spool_up" in {name for name, *_ in read(receiver, Authorization="Bearer s3cret")}


def test_a_receiver_without_metrics_has_no_such_page(receiver: RunningReceiver) -> None:
    assert httpx.get(f"{receiver.url}/metrics").status_code == 404
