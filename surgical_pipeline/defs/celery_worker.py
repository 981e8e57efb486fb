"""The Celery app of workers that execute Dagster's runs: `celery -A surgical_pipeline.defs.celery_worker worker`.

Broker and results come from CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which Celery reads itself, so nothing is
read when this is imported. `celery_launcher` uses the same settings, so the two sides cannot differ.
"""

import signal
from typing import Any

from celery.signals import task_prerun
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task

QUEUE = "dagster"
LONGEST_RUN_SECONDS = 7200
SETTINGS: dict[str, Any] = {
    # A run that is done halfway is never given to another worker: it ends as lost, and a retry takes it.
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    # A worker takes no run for which it has no free process: another one may have.
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    # By the uptime of the worker's machine. Dagster's own limit compares the clocks of two machines.
    "task_time_limit": LONGEST_RUN_SECONDS,
    "worker_max_tasks_per_child": 100,
    # Dagster configures logging for each run.
    "worker_hijack_root_logger": False,
    # The broker may be restarted: both sides wait for it.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        "visibility_timeout": LONGEST_RUN_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
    "task_publish_retry_policy": {
        "max_retries": 40,
        "interval_start": 0.2,
        "interval_step": 0.2,
        "interval_max": 1,
    },
    "redis_socket_keepalive": True,
    "redis_backend_health_check_interval": 25,
}
"""What both sides of the broker need to know."""

app = make_app(  # type: ignore[no-untyped-call]  # its arguments have no types
    {"config_source": SETTINGS, "task_default_queue": QUEUE}
)
execute_job = create_execute_job_task(app)


@task_prerun.connect  # type: ignore[untyped-decorator]  # Celery ships no types
def _can_be_terminated(**_: Any) -> None:
    """Dagster leaves SIGTERM ignored after a run: the next one could not be terminated before it is under way."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
