"""Names and labels follow Prometheus's conventions, and no text of the ledger can become a label."""

import re

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.metrics import catalog
from surgical_pipeline.metrics.catalog import OF_LEDGER, OF_RECEIVER, Metric
from surgical_pipeline_tests.surroundings import REPOSITORY

ALL = (*OF_LEDGER, *OF_RECEIVER)


def test_every_metric_is_in_the_catalog_once() -> None:
    defined = [value for value in vars(catalog).values() if isinstance(value, Metric)]
    assert sorted(metric.name for metric in defined) == sorted(metric.name for metric in ALL)
    assert len({metric.name for metric in ALL}) == len(ALL)


def test_names_are_ours_and_in_base_units() -> None:
    wrong = [metric.name for metric in ALL if not re.fullmatch(r"surgical_[a-z0-9_]+[a-z0-9]", metric.name)]
    assert wrong == []
    assert [
        metric.name for metric in ALL if re.search(r"_(ms|milliseconds|minutes|hours)(_|$)", metric.name)
    ] == []


def test_a_label_takes_only_what_its_enum_has() -> None:
    sample = catalog.RUNS.sample(3, RunStatus.FAILED, "acme/rocket")
    assert sample.labels == ("failed", catalog.OTHER)
    assert catalog.RUN_FAILURES.sample(1, "TIMEOUT").labels == ("TIMEOUT",)


def test_labels_are_few() -> None:
    series = 0
    for metric in ALL:
        count = 1
        for label in metric.labels:
            count *= len(label.values)
        series += count
    assert series < 200
    assert len(catalog.CODE.values) == len(FailureCode)


def test_the_page_about_watching_names_every_metric_and_no_other() -> None:
    page = (REPOSITORY / "docs" / "watching.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(surgical_[a-z0-9_]+)", page)) == {metric.name for metric in ALL}
