"""What Dagster's Helm chart makes of our values: `helm` itself is not needed to see whether Dagster takes it.

The names are those of the chart's schema and templates for Dagster 1.13; a value under any other name is refused
here, because Helm would drop it without a word.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from surgical_pipeline_tests.surroundings import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "kubernetes"
RELEASE, NAMESPACE = "dagster", "default"

LEAF = object()
"""Whatever Kubernetes or Dagster takes there; others look at it."""

_OF_PODS = ("envSecrets", "envConfigMaps", "volumeMounts", "volumes", "resources", "securityContext", "labels")
_OF_CODE = ("name", "image", "codeServerArgs", "port", "includeConfigInLaunchedRuns", "env", "podSecurityContext")
_OF_RUNS = ("imagePullPolicy", "loadInclusterConfig", "jobNamespace", "envVars", "failPodOnRunFailure")
_CODE_LOCATION = dict.fromkeys((*_OF_PODS, *_OF_CODE), LEAF)
_RUN_LAUNCHER: Mapping[str, Any] = dict.fromkeys((*_OF_PODS, *_OF_RUNS), LEAF) | {
    "runK8sConfig": {"podSpecConfig": LEAF, "jobSpecConfig": LEAF, "containerConfig": LEAF, "jobMetadata": LEAF}
}
_QUEUE = {"maxConcurrentRuns": LEAF, "dequeueIntervalSeconds": LEAF, "tagConcurrencyLimits": LEAF}
_TICKS = {"purgeAfterDays": {"skipped": LEAF, "started": LEAF, "success": LEAF, "failure": LEAF}}

NAMES: Mapping[str, Any] = {
    "global": {"dagsterHome": LEAF, "postgresqlSecretName": LEAF},
    "postgresql": {
        "enabled": LEAF,
        "postgresqlHost": LEAF,
        "postgresqlUsername": LEAF,
        "postgresqlDatabase": LEAF,
        "service": {"port": LEAF},
    },
    "generatePostgresqlPasswordSecret": LEAF,
    "dagster-user-deployments": {"enabled": LEAF, "enableSubchart": LEAF, "deployments": [_CODE_LOCATION]},
    "runLauncher": {"type": LEAF, "config": {"k8sRunLauncher": _RUN_LAUNCHER}},
    "dagsterDaemon": {
        "runCoordinator": {"enabled": LEAF, "type": LEAF, "config": {"queuedRunCoordinator": _QUEUE}},
        "runMonitoring": {"enabled": LEAF},
        "sensors": {"useThreads": LEAF, "numWorkers": LEAF},
    },
    "retention": {"enabled": LEAF, "sensor": _TICKS, "schedule": _TICKS},
    "telemetry": {"enabled": LEAF},
    "additionalInstanceConfig": LEAF,
}


def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text(encoding="utf-8"))
    return found


def code_location() -> dict[str, Any]:
    (found,) = values()["dagster-user-deployments"]["deployments"]
    return dict(found)


def unknown_names(given: Any, known: Any = NAMES, *, path: str = "") -> list[str]:
    """Values that the chart has no place for, by their path."""
    if known is LEAF:
        return []
    if isinstance(known, Sequence):
        return [name for one in given for name in unknown_names(one, known[0], path=f"{path}[]")]
    found = [f"{path}.{name}" for name in given if name not in known]
    inside = [unknown_names(given[name], known[name], path=f"{path}.{name}") for name in given if name in known]
    return sorted([*found, *(name for names in inside for name in names)])


def instance() -> dict[str, Any]:
    """The dagster.yaml that the chart mounts in Dagster's pods and in those of runs."""
    given = values()
    database, daemon, launcher = given["postgresql"], given["dagsterDaemon"], given["runLauncher"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    storage = {
        "postgres_db": {
            "username": database["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": database["postgresqlHost"],
            "db_name": database["postgresqlDatabase"],
            "port": database["service"]["port"],
            "params": {},
        }
    }
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        "run_storage": _class("dagster_postgres.run_storage", "PostgresRunStorage", storage),
        "schedule_storage": _class("dagster_postgres.schedule_storage", "PostgresScheduleStorage", storage),
        "event_log_storage": _class("dagster_postgres.event_log", "PostgresEventLogStorage", storage),
        "run_launcher": _class("dagster_k8s", launcher["type"], _launcher(given)),
        "run_coordinator": _class(
            "dagster.core.run_coordinator",
            daemon["runCoordinator"]["type"],
            {
                "max_concurrent_runs": queue["maxConcurrentRuns"],
                "tag_concurrency_limits": queue["tagConcurrencyLimits"],
                "dequeue_interval_seconds": queue["dequeueIntervalSeconds"],
            },
        ),
        "compute_logs": {
            "module": "dagster.core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "sensors": {
            "use_threads": daemon["sensors"]["useThreads"],
            "num_workers": daemon["sensors"]["numWorkers"],
        },
        "telemetry": {"enabled": given["telemetry"]["enabled"]},
        "retention": {
            kind: {"purge_after_days": given["retention"][kind]["purgeAfterDays"]}
            for kind in ("sensor", "schedule")
        },
        **given["additionalInstanceConfig"],
    }


def _class(module: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": module, "class": name, "config": config}


def _launcher(given: Mapping[str, Any]) -> dict[str, Any]:
    config = given["runLauncher"]["config"]["k8sRunLauncher"]
    runs = config["runK8sConfig"]
    return {
        "load_incluster_config": config["loadInclusterConfig"],
        "job_namespace": NAMESPACE,
        "image_pull_policy": config["imagePullPolicy"],
        "service_account_name": RELEASE,
        "dagster_home": given["global"]["dagsterHome"],
        "instance_config_map": f"{RELEASE}-instance",
        "postgres_password_secret": given["global"]["postgresqlSecretName"],
        "security_context": config["securityContext"],
        "run_k8s_config": {
            "pod_spec_config": runs["podSpecConfig"],
            "job_spec_config": runs["jobSpecConfig"],
        },
    }


def container_context() -> dict[str, Any]:
    """What the code location tells Dagster of the pods of its runs (includeConfigInLaunchedRuns)."""
    given = code_location()
    return {
        "k8s": {
            "image_pull_policy": given["image"]["pullPolicy"],
            "env_config_maps": [f"{RELEASE}-{given['name']}-user-env"],
            "env_secrets": [one["name"] for one in given["envSecrets"]],
            "volume_mounts": given["volumeMounts"],
            "volumes": given["volumes"],
            "resources": given["resources"],
            "namespace": NAMESPACE,
            "service_account_name": f"{RELEASE}-user-deployments",
            "env": given["env"],
            "run_k8s_config": {"pod_spec_config": {"automount_service_account_token": True}},
        }
    }
