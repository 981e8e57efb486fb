"""All that we take from Dagster's private modules. The comment above a name says why there is no public way."""

# execute_run_iterator takes a job that is in memory, here one with a callback inside, only as this;
# dg.reconstructable gives a job that a module can make anew.
from dagster._core.definitions.job_base import InMemoryJob

# The command line makes its run itself, with its tags and the run that it repeats, and shows its events as they
# happen; dg.execute_job and JobDefinition.execute_in_process make another run and give its events at the end.
from dagster._core.execution.api import execute_run_iterator

# A storage's own id names the Dagster instance in the rows of its runs, for all processes that share the storage;
# the public class RunStorage has none.
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

__all__ = ["InMemoryJob", "SqlRunStorage", "execute_run_iterator"]
