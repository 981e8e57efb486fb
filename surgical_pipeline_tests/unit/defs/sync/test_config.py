from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.gateways import RESOURCES
from surgical_pipeline.defs.sync.asset import surgical_sync
from surgical_pipeline.defs.sync.config import StageConfig, example_config
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.domain.scope import Scope, ScopeError


@pytest.fixture(scope="module")
def job() -> dg.JobDefinition:
    return defs.resolve_job_def("surgical_sync_job")


def stage_configs(job: dg.JobDefinition, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What each op of the graph gets of one block in the launchpad."""
    resolved = dg.validate_run_config(job, {"ops": {"surgical_sync": {"config": config}}})
    return {stage: resolved["ops"][f"surgical_sync.{stage}"]["config"] for stage in STAGES}


def test_one_block_reaches_all_five_ops_alike(job: dg.JobDefinition) -> None:
    block = {
        "project": "acme/rocket",
        "issue_iids": [14, 12, 13, 12],
        "mr_iids": [34],
        "entity_timeout_seconds": 7,
    }
    first, *others = stage_configs(job, block).values()
    assert first["scope"] == "acme/rocket#12-14!34"
    assert first["entity_timeout_seconds"] == 7
    assert others == [first] * 4


def test_what_is_not_named_has_the_default_of_the_domain(job: dg.JobDefinition) -> None:
    config = stage_configs(job, {"project": "acme/rocket", "issue_iids": [12]})["dependents"]
    assert {name: config[name] for name in Budgets.model_fields} == Budgets().model_dump()
    assert config["dependents"] == list(CORE_DEPENDENTS)


def test_a_run_of_a_partition_names_no_scope(job: dg.JobDefinition) -> None:
    assert stage_configs(job, {})["preflight"]["scope"] == ""
    assert stage_configs(job, {"dependents": ["commits"]})["embed"]["dependents"] == ["commits"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"issue_iid": [12]}, 'unexpected config entry "issue_iid"'),
        ({"issue_iids": ["twelve"]}, "issue_iids"),
        ({"issue_iids": [0]}, "an IID lies between 1 and 2147483647, #0 does not"),
        ({"mr_iids": [-4]}, "an IID lies between 1 and 2147483647, !-4 does not"),
        ({"issue_iids": []}, "the scope of acme/rocket is empty"),
        ({"project": ""}, "a project is group/project"),
        ({"project": "acme rocket"}, "a project is group/project"),
        ({"dependents": ["discussions", "gossip"]}, "unknown dependents gossip: choose of discussions"),
        ({"entity_timeout_seconds": 0}, "entity_timeout_seconds"),
        ({"dependents_budget_seconds": -1}, "dependents_budget_seconds"),
        ({"max_requests_in_flight": 65}, "max_requests_in_flight"),
        ({"max_requests_in_flight": 0}, "max_requests_in_flight"),
        ({"preflight_budget_seconds": 1e9}, "preflight_budget_seconds"),
        ({"embed_budget_seconds": 1e9}, "embed_budget_seconds"),
    ],
)
def test_whatever_cannot_be_meant_is_refused_before_a_run_starts(
    job: dg.JobDefinition, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError) as caught:
        stage_configs(job, {"project": "acme/rocket", "issue_iids": [12], **change})
    assert sentence in str(caught.value)


def test_the_scope_comes_from_the_config_where_there_is_no_partition() -> None:
    config = StageConfig(scope="acme/rocket#12!34")
    assert config.resolve_scope(None) == Scope.of("acme/rocket", issue_iids=[12], mr_iids=[34])


def test_the_scope_comes_from_the_partition_where_the_config_names_none() -> None:
    scope = StageConfig(scope="").resolve_scope("acme/rocket#1-100")
    assert len(scope) == 100


@pytest.mark.parametrize(
    ("scope", "partition_key", "sentence"),
    [
        ("", None, "the scope is empty: set project and issue_iids or mr_iids"),
        ("acme/rocket#12", "acme/rocket#13", "are both given: clear project, issue_iids and mr_iids"),
        ("acme/rocket#12", "acme/rocket#12", "are both given"),
        ("", "a...b", "a project is group/project"),
        ("", "acme/rocket#\t12", "found"),
        ("", "", "a project is group/project"),
    ],
)
def test_a_run_needs_a_scope_or_a_partition_key_that_is_one_and_not_both(
    scope: str, partition_key: str | None, sentence: str
) -> None:
    with pytest.raises(ScopeError) as caught:
        StageConfig(scope=scope).resolve_scope(partition_key)
    assert sentence in str(caught.value)


@pytest.fixture
def example_job(monkeypatch: pytest.MonkeyPatch) -> dg.JobDefinition:
    monkeypatch.setenv("SURGICAL_EXAMPLE_SCOPE", "acme/rocket#12-14!34")
    job = dg.define_asset_job("example", selection=[surgical_sync], config=example_config())
    definitions = dg.Definitions(assets=[surgical_sync], jobs=[job], resources=RESOURCES)
    return definitions.resolve_job_def("example")


def test_the_example_is_what_a_run_without_config_gets(example_job: dg.JobDefinition) -> None:
    resolved = dg.validate_run_config(example_job, {})
    config = resolved["ops"]["surgical_sync.preflight"]["config"]
    assert config["scope"] == "acme/rocket#12-14!34"
    assert {name: config[name] for name in Budgets.model_fields} == Budgets().model_dump()


def test_a_block_that_somebody_writes_takes_nothing_from_the_example(example_job: dg.JobDefinition) -> None:
    block = {"project": "acme/other", "issue_iids": [1]}
    assert stage_configs(example_job, block)["preflight"]["scope"] == "acme/other#1"


def test_without_an_example_nothing_is_prefilled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGICAL_EXAMPLE_SCOPE", raising=False)
    assert example_config() is None


def test_each_dependent_is_fetched_once_and_in_one_order() -> None:
    config = StageConfig(scope="acme/rocket#12", dependents=["diffs", "discussions", "diffs"])
    assert config.dependent_list() == (Dependent.DISCUSSIONS, Dependent.DIFFS)


def test_budgets_reach_the_stages_as_they_were_given() -> None:
    given: dict[str, Any] = {
        "preflight_budget_seconds": 1,
        "entity_timeout_seconds": 2,
        "dependents_budget_seconds": 3,
        "embed_budget_seconds": 4,
        "max_requests_in_flight": 5,
    }
    assert given.keys() == Budgets.model_fields.keys()
    assert StageConfig(scope="", **given).budgets() == Budgets(**given)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("acme/rocket#12+20-22!34", "acme/rocket#12+20-22!34"),
        ("acme/rocket#12\nacme/rocket!34 # reviewed", "acme/rocket#12!34"),
        (
            "https://gitlab.example.com/acme/rocket/-/issues/12#note_5 acme/rocket#13",
            "acme/rocket#12+13",
        ),
    ],
)
def test_a_scope_can_be_written_as_people_have_it(
    job: dg.JobDefinition, monkeypatch: pytest.MonkeyPatch, text: str, scope: str
) -> None:
    monkeypatch.setenv("GITLAB_URL", "https://gitlab.example.com")
    assert stage_configs(job, {"scope": text})["preflight"]["scope"] == scope


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"scope": "acme/rocket#12", "issue_iids": [13]}, "leave one of them out"),
        ({"scope": "acme/rocket#12 acme/tools#1"}, "scope, line 1:"),
        ({"scope": "acme/rocket#1\nacme/rocket#x"}, "scope, line 2:"),
        ({"scope": "# nothing"}, "scope names no issue or merge request"),
        ({"scope": "https://elsewhere.example/acme/rocket/-/issues/12"}, "does not lie in"),
    ],
)
def test_a_scope_that_cannot_be_read_fails_before_anything_runs(
    job: dg.JobDefinition, monkeypatch: pytest.MonkeyPatch, block: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setenv("GITLAB_URL", "https://gitlab.example.com")
    with pytest.raises(dg.DagsterInvalidConfigError, match=sentence):
        stage_configs(job, block)
