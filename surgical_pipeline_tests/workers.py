"""Which tests share a worker of pytest-xdist: those of a file, and the files of each kind that takes long."""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

MANY_PROCESSES = ("processes", "dagster_dev")
"""Markers of tests that start many, or signal them."""
LAST = len(MANY_PROCESSES)


@cache
def turn(file: Path) -> int:
    """What takes longest comes first: files with many processes, those without `dagster dev` before it starts."""
    text = file.read_text(encoding="utf-8")
    return next((turn for turn, name in enumerate(MANY_PROCESSES) if f"pytest.mark.{name}" in text), LAST)


class FilesTogether(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps a file's tests in one worker, with what it sets up for all of them; files come in collection's order.

    Files that start many processes share a worker, and so do those with a `dagster dev`: there is one of each at a
    time, and neither waits for the other. (xdist's own groups, `--dist loadgroup`, do nothing with pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        found = turn(self.config.rootpath / file)
        return file if found == LAST else MANY_PROCESSES[found]
