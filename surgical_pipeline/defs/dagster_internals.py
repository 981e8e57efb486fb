"""All names that we import from Dagster's private modules. The comment above each says why no public one does."""

# execute_run_iterator takes a job that is in memory, here one with a callback inside, only as this;
# dg.reconstructable returns a job that a module can create again.
from dagster._core.definitions.job_base import InMemoryJob

# The command line creates its run itself, with its tags and the run that it repeats, and shows its events as they
# happen; dg.execute_job and JobDefinition.execute_in_process create another run and return its events at the end.
from dagster._core.execution.api import execute_run_iterator

# A backfill is launched, cancelled and looked up through the instance's public methods, which take and return
# these; the only other way is GraphQL, which needs a webserver.
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill

# What a launcher answers when Dagster asks whether a run's process is alive; launchers are written against these.
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

# A backfill says where Dagster's daemon finds its job. If no run or sensor tells, these say what workspace.yaml
# does.
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemotePartitionSetOrigin,
    RemoteRepositoryOrigin,
)

# The name that Dagster gives to the partitions of a job, by which its Partitions page finds their backfills.
from dagster._core.remote_representation.external_data import partition_set_snap_name_for_job_name

# Deleting a run leaves its rows in this table, and no public method deletes them. It is of that storage alone.
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

# The storage that has this table; the public class EventLogStorage does not tell how it keeps anything.
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

# Which files a run has: this storage keeps one database for each run, and deleting the run leaves it. No public
# class tells the files' folder.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

# A storage's own id names the Dagster instance in the rows of its runs, for all processes that share the storage;
# the public class RunStorage has none.
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

# The module that a code location loads: a part of where Dagster's daemon finds a job, as above.
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

# Ids like those of all other backfills: the UI's addresses and tags are made for them.
from dagster._core.utils import make_new_backfill_id

# The config of a launcher in dagster.yaml, as `from_config_value` is given it.
from dagster._serdes import ConfigurableClassData

__all__ = [
    "AssetCheckExecutionsTable",
    "BulkActionStatus",
    "BulkActionsFilter",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "InMemoryJob",
    "LoadableTargetOrigin",
    "ManagedGrpcPythonEnvCodeLocationOrigin",
    "PartitionBackfill",
    "RemotePartitionSetOrigin",
    "RemoteRepositoryOrigin",
    "SqlEventLogStorage",
    "SqlRunStorage",
    "SqliteEventLogStorage",
    "WorkerStatus",
    "execute_run_iterator",
    "make_new_backfill_id",
    "partition_set_snap_name_for_job_name",
]
