"""Dashboard and alert rules name only metrics and label values that we export; promtool says that alerts fire."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from surgical_pipeline.metrics.catalog import OF_LEDGER, OF_RECEIVER, Metric
from surgical_pipeline_tests.surroundings import REPOSITORY, skip_or_fail

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "surgical-pipeline.json"
RULES = REPOSITORY / "deploy" / "prometheus" / "rules.yml"
RULES_TEST = RULES.with_name("rules_test.yml")
METRICS = {metric.name: metric for metric in (*OF_LEDGER, *OF_RECEIVER)}
TARGET_LABELS = {"instance", "job"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> list[str]:
    in_panels = [target["expr"] for panel in panels() for target in panel["targets"]]
    series = re.findall(r"series: '([^']+)'", RULES_TEST.read_text(encoding="utf-8"))
    return [*in_panels, *(rule["expr"] for rule in rules()), *series]


def wrong_in(expression: str) -> list[str]:
    """Metrics that we do not export, and labels or label values that they do not have."""
    found = []
    for name, selector in re.findall(r"(surgical_[a-z0-9_]+)(?:\{([^}]*)\})?", expression):
        metric = METRICS.get(name)
        if metric is None:
            found.append(name)
            continue
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
            if label not in TARGET_LABELS and not has(metric, label, value, pattern="~" in operator):
                found.append(f"{name}: {label} {value}")
    return found


def has(metric: Metric, label: str, value: str, *, pattern: bool) -> bool:
    values = [one for known in metric.labels if known.name == label for one in known.values]
    alternatives = value.split("|") if pattern else [re.escape(value)]
    return all(any(re.fullmatch(one, known) for known in values) for one in alternatives)


def test_dashboard_and_rules_name_only_what_we_export() -> None:
    assert [wrong for expression in expressions() for wrong in wrong_in(expression)] == []


@pytest.mark.parametrize(
    "expression",
    ["max(surgical_runs_failed)", 'surgical_events{state="lost"}', 'surgical_lag_seconds{lag=~"poll|x"}'],
)
def test_what_we_do_not_export_would_be_found(expression: str) -> None:
    assert len(wrong_in(expression)) == 1


def test_labels_by_which_panels_and_rules_group_exist() -> None:
    for expression in expressions():
        grouped = {
            name.strip()
            for names in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression)
            for name in names.split(",")
        }
        named = {
            label.name for name in re.findall(r"surgical_[a-z0-9_]+", expression) for label in METRICS[name].labels
        }
        assert grouped <= named | TARGET_LABELS, expression


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        grid = panel["gridPos"]
        own = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < 24
        cells |= own
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_each_alert_says_what_it_means_and_is_tried() -> None:
    tried = RULES_TEST.read_text(encoding="utf-8")
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["alert"] in tried
        assert rule["alert"] in (REPOSITORY / "docs" / "watching.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [("check", "rules", RULES), ("test", "rules", RULES_TEST)], ids=str)
def test_prometheus_reads_the_rules_and_each_alert_fires(arguments: tuple[str | Path, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        skip_or_fail("promtool is missing; on Debian and Ubuntu it is in the package prometheus")
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, cwd=RULES.parent, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
