"""A simulation leaves its process as it found it."""

import gc
import logging
import os
import random

import anyio.to_thread
import pytest

from surgical_pipeline_tests.simulation.inline import inline_threads
from surgical_pipeline_tests.simulation.runner import a_database


@pytest.mark.parametrize("level", [logging.NOTSET, logging.INFO])
def test_a_database_leaves_logging_and_the_garbage_collector_as_they_were(level: int) -> None:
    ours = logging.getLogger("surgical_pipeline")
    gc.unfreeze()  # the code location, if another test has imported it
    before = ours.level
    ours.setLevel(level)
    try:
        with pytest.raises(KeyError), a_database():
            assert not ours.isEnabledFor(logging.ERROR)
            assert gc.get_freeze_count()
            raise KeyError
        assert ours.level == level
        assert not gc.get_freeze_count()
    finally:
        ours.setLevel(before)


def test_a_simulation_leaves_threads_chance_and_environment_as_they_were() -> None:
    named, run_sync = os.environ.get("SURGICAL_DAGSTER_INSTANCE"), anyio.to_thread.run_sync
    state = random.getstate()
    with pytest.raises(KeyError), inline_threads():
        random.random()
        raise KeyError
    assert (os.environ.get("SURGICAL_DAGSTER_INSTANCE"), anyio.to_thread.run_sync) == (named, run_sync)
    assert random.getstate() == state
