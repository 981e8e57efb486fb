"""A seed is a simulation: the same lines each time, whatever the process, its hash seed, or what ran before."""

import os
import subprocess
import sys

from surgical_pipeline_tests.simulation.runner import a_database, run_seed

SEEDS = (4, 2)
_PROGRAM = """
from surgical_pipeline_tests.simulation.runner import a_database, run_seed
with a_database() as database:
    for seed in {seeds}:
        print(run_seed(database, seed).fingerprint)
"""


def fingerprints(seeds: tuple[int, ...], hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(seeds=seeds)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_seed_gives_the_same_trace_in_every_process() -> None:
    assert fingerprints(SEEDS, "1") == fingerprints(SEEDS[::-1], "2")[::-1]


def test_a_schedule_replayed_step_by_step_is_the_schedule() -> None:
    with a_database() as database:
        whole = run_seed(database, SEEDS[0])
        assert run_seed(database, SEEDS[0], whole.steps).lines == whole.lines
        part = run_seed(database, SEEDS[0], whole.steps[:2])
    assert part.lines != whole.lines
    assert part.failure is None
    assert whole.hours > 0.1
