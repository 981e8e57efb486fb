from prometheus_client.parser import text_string_to_metric_families

from surgical_pipeline.metrics import catalog
from surgical_pipeline.metrics.exposition import rendered


def test_samples_come_out_as_prometheus_reads_them() -> None:
    samples = [
        catalog.RUN_FAILURES.sample(2, "TIMEOUT"),
        catalog.LEDGER_UP.sample(1),
        catalog.RUN_FAILURES.sample(0, "FORBIDDEN"),
    ]
    page, content_type = rendered(samples, accept="")
    assert content_type.startswith("text/plain; version=0.0.4")
    failures, up = text_string_to_metric_families(page.decode())
    assert (failures.type, up.type) == ("counter", "gauge")
    assert [(one.name, one.labels["code"], one.value) for one in failures.samples] == [
        ("surgical_run_failures_total", "TIMEOUT", 2),
        ("surgical_run_failures_total", "FORBIDDEN", 0),
    ]
    assert up.documentation == catalog.LEDGER_UP.help


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    page, content_type = rendered(
        [catalog.RUNS_EVER.sample(7)], accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert content_type.startswith("application/openmetrics-text")
    assert page.decode().endswith("surgical_runs_total 7.0\n# EOF\n")
