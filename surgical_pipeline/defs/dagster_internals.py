"""All names that we import from Dagster's private modules. The comment above each says why no public one does."""

# execute_run_iterator takes a job that is in memory, here one with a callback inside, only as this;
# dg.reconstructable returns a job that a module can create again.
from dagster._core.definitions.job_base import InMemoryJob

# The command line creates its run itself, with its tags and the run that it repeats, and shows its events as they
# happen; dg.execute_job and JobDefinition.execute_in_process create another run and return its events at the end.
from dagster._core.execution.api import execute_run_iterator

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

__all__ = [
    "AssetCheckExecutionsTable",
    "InMemoryJob",
    "SqlEventLogStorage",
    "SqlRunStorage",
    "SqliteEventLogStorage",
    "execute_run_iterator",
]
