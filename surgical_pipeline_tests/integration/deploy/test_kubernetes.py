"""The files in deploy/kubernetes: Dagster takes what the chart makes of them, Kubernetes' own models the rest."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes.client
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job
from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict

from surgical_pipeline.defs.dagster_runs import BACKGROUND_TAG
from surgical_pipeline_tests.integration.deploy import chart
from surgical_pipeline_tests.surroundings import REPOSITORY

MODELS = {
    "Deployment": kubernetes.client.V1Deployment,
    "Ingress": kubernetes.client.V1Ingress,
    "PodDisruptionBudget": kubernetes.client.V1PodDisruptionBudget,
    "Secret": kubernetes.client.V1Secret,
    "Service": kubernetes.client.V1Service,
    "StatefulSet": kubernetes.client.V1StatefulSet,
}
FILES = [path.name for path in sorted(chart.FOLDER.glob("*.yaml")) if path.name != "values.yaml"]
OF_CHART = {"postgresql-password"}
"""Keys of secrets that the chart asks for by this name."""


def documents(*names: str) -> list[dict[str, Any]]:
    return [
        one
        for name in names or FILES
        for one in yaml.safe_load_all((chart.FOLDER / name).read_text(encoding="utf-8"))
    ]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in documents() if one["kind"] == kind]


def workloads() -> list[dict[str, Any]]:
    return [*of_kind("StatefulSet"), *of_kind("Deployment")]


def containers() -> list[dict[str, Any]]:
    return [one for each in workloads() for one in each["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("name", FILES)
def test_every_field_is_one_of_kubernetes(name: str) -> None:
    """Its client's models know the fields, which of them are needed and, of some, which values they have."""
    for document in documents(name):
        model = MODELS[document["kind"]]
        assert k8s_model_from_dict(model, k8s_snake_case_dict(model, document))


def test_a_field_that_kubernetes_does_not_have_is_found() -> None:
    (wrong,) = of_kind("StatefulSet")
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(Exception, match="readynessProbe"):
        k8s_snake_case_dict(kubernetes.client.V1StatefulSet, wrong)


def test_services_and_selectors_find_their_pods() -> None:
    pods = {one["metadata"]["name"]: one["spec"]["template"] for one in workloads()}
    for each in workloads():
        assert each["spec"]["selector"]["matchLabels"] == pods[each["metadata"]["name"]]["metadata"]["labels"]
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind("Service")}
    assert services.keys() == pods.keys()
    for name, service in services.items():
        assert service["selector"] == pods[name]["metadata"]["labels"]
        named = {port["name"] for one in pods[name]["spec"]["containers"] for port in one["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= named
    for path in (
        path for one in of_kind("Ingress") for rule in one["spec"]["rules"] for path in rule["http"]["paths"]
    ):
        backend = path["backend"]["service"]
        assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["ports"]}


def test_each_receiver_keeps_its_spool_on_a_disk_of_its_own() -> None:
    (receiver,) = of_kind("StatefulSet")
    (container,) = receiver["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert [claim["metadata"]["name"] for claim in receiver["spec"]["volumeClaimTemplates"]] == [mount["name"]]
    (spool,) = [one["value"] for one in container["env"] if one["name"] == "SURGICAL_SPOOL"]
    assert Path(spool).parent == Path(mount["mountPath"])
    assert receiver["spec"]["replicas"] == 2


def test_every_variable_is_in_the_manual_and_every_secret_in_the_example() -> None:
    manual = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", manual, flags=re.MULTILINE))
    secrets = {one["metadata"]["name"]: set(one["stringData"]) for one in of_kind("Secret")}
    location = chart.code_location()
    given = {one["name"] for one in (*location["env"], *(env for each in containers() for env in each["env"]))}
    for names in (given, *(keys - OF_CHART for keys in secrets.values())):
        assert names <= documented
    taken = [one["secretRef"]["name"] for each in containers() for one in each["envFrom"]]
    taken += [one["name"] for one in location["envSecrets"]]
    assert {*taken, chart.values()["global"]["postgresqlSecretName"]} == secrets.keys()
    assert not any(
        value.strip() for one in of_kind("Secret") for value in one["stringData"].values() if "//" not in value
    )


def test_the_chart_has_a_place_for_every_value() -> None:
    assert chart.unknown_names(chart.values()) == []
    assert chart.unknown_names({"runLauncher": {"kind": "K8sRunLauncher"}}) == [".runLauncher.kind"]


def test_all_pods_run_the_same_image_and_none_as_root() -> None:
    image = chart.code_location()["image"]
    images = {each["image"] for each in containers()}
    assert images == {f"{image['repository']}:{image['tag']}"}
    launched = chart.values()["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["podSpecConfig"]
    pods = [each["spec"]["template"]["spec"] for each in workloads()]
    contexts = [*(pod["securityContext"] for pod in pods), launched["securityContext"]]
    contexts.append(chart.code_location()["podSecurityContext"])
    assert {(one["runAsNonRoot"], one["runAsUser"]) for one in contexts} == {(True, 1000)}


def test_the_instance_is_that_of_the_repository_but_for_what_pods_need() -> None:
    ours: dict[str, Any] = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    theirs = chart.instance()
    for name in ("retention", "telemetry", "nux", "sensors"):
        assert theirs[name] == ours[name], name
    longer = {"start_timeout_seconds": 600, "poll_interval_seconds": 15, "max_resume_run_attempts": 0}
    assert theirs["run_monitoring"] == ours["run_monitoring"] | longer
    queue = theirs["run_coordinator"]["config"]
    assert queue["dequeue_interval_seconds"] == ours["run_queue"]["dequeue_interval_seconds"]
    assert queue["tag_concurrency_limits"] == [{"key": BACKGROUND_TAG, "limit": queue["max_concurrent_runs"] - 1}]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Of the chart's dagster.yaml; its storages are in memory, and its cluster is one that nobody asks."""
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "a-password")
    cluster = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "none", "user": {}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
        "current-context": "none",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(cluster), encoding="utf-8")
    settings = chart.instance()
    settings["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(tmp_path / "kubeconfig"),
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    reference = InstanceRef.from_dir(str(tmp_path))  # refuses settings that Dagster does not have
    for storage in (reference.run_storage_data, reference.event_storage_data, reference.schedule_storage_data):
        assert storage is not None
        assert storage.config_dict["postgres_db"]["hostname"] == "POSTGRES_HOST"
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as made:
        launcher, coordinator = reference.run_launcher, reference.run_coordinator
        assert launcher is not None
        assert isinstance(coordinator, QueuedRunCoordinator)
        launcher.register_instance(made)
        made._run_launcher = launcher
        yield made


def test_a_run_becomes_a_pod_with_our_image_our_secrets_and_a_home_to_write_in(
    instance: dg.DagsterInstance,
) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, K8sRunLauncher)
    location, home = chart.code_location(), chart.values()["global"]["dagsterHome"]
    image = f"{location['image']['repository']}:{location['image']['tag']}"
    context = K8sContainerContext.create_for_run(run_of(image), launcher, include_run_tags=True)
    job = construct_dagster_k8s_job(
        context.get_k8s_job_config(job_image=image, run_launcher=launcher),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run-1",
        user_defined_k8s_config=context.run_k8s_config,
    )
    pod = job.spec.template.spec
    (container,) = pod.containers
    assert container.image == image
    assert pod.security_context.run_as_non_root
    assert pod.termination_grace_period_seconds > chart.instance()["run_monitoring"]["cancel_timeout_seconds"]
    assert job.spec.backoff_limit == 0
    assert [one.secret_ref.name for one in container.env_from if one.secret_ref] == [
        "surgical-ledger",
        "surgical-gitlab",
    ]
    assert {"GITLAB_URL", "DAGSTER_HOME", "DAGSTER_PG_PASSWORD"} <= {one.name for one in container.env}
    assert container.resources.limits == location["resources"]["limits"]
    (mount,), (volume,) = container.volume_mounts, pod.volumes
    assert (mount.mount_path, mount.name) == (home, volume.name)
    assert volume.empty_dir is not None


def run_of(image: str) -> dg.DagsterRun:
    """As the daemon has it: where its code is, and what the code location says of its pods."""
    repository = RepositoryPythonOrigin(
        executable_path="/usr/local/bin/python",
        code_pointer=ModuleCodePointer("surgical_pipeline.definitions", "defs", working_directory=None),
        container_image=image,
        container_context=chart.container_context(),
    )
    job = "surgical_sync_job"
    return dg.DagsterRun(job, run_id="run-1", job_code_origin=JobPythonOrigin(job, repository))
