"""A program that keeps a published version open, and reads it and the newest one again and again until it is told.

As a shell does it (`python -m surgical_pipeline_tests.soak.reading FOLDER`, until its stdin is closed), and as a
cell of a notebook does it (`Reading(folder)` in a thread). Every read must be one whole version: its counts are
those of its manifest.
"""

import json
import sys
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb

from surgical_pipeline.dataset import Dataset, open_dataset
from surgical_pipeline.dataset.manifest import Manifest, read_manifest

DATABASE = "gitlab.duckdb"
_PAUSE_SECONDS = 0.1


@dataclass
class Reads:
    """``kept``: the version that stayed open. ``versions``: all that were read."""

    kept: int = 0
    reads: int = 0
    versions: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def note(self, manifest: Manifest, counted: Iterable[tuple[str, int]]) -> None:
        self.reads += 1
        if manifest.version not in self.versions:
            self.versions.append(manifest.version)
        told = {name: table.rows for name, table in manifest.tables.items()}
        if dict(counted) != told:
            self.wrong.append(f"version {manifest.version} says {told}, read was {dict(counted)}")


class Reading:
    """Goes on in a thread until ``stop``, which gives what it read."""

    def __init__(self, folder: Path | str, *, like_a_shell: bool = False) -> None:
        self._folder = Path(folder)
        self._like_a_shell = like_a_shell
        self._over = threading.Event()
        self._reads = Reads()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()
        self._began.wait(60)

    def stop(self) -> Reads:
        self._over.set()
        self._thread.join(60)
        return self._reads

    def _go_on(self) -> None:
        try:
            (self._as_shell if self._like_a_shell else self._as_notebook)()
        except Exception as error:  # noqa: BLE001  whatever stops a reader is what this looks for
            self._reads.wrong.append(f"{type(error).__name__}: {error}")
            self._began.set()

    def _as_shell(self) -> None:
        """`duckdb -readonly current/gitlab.duckdb`, left open."""
        with duckdb.connect(str(self._folder / "current" / DATABASE), read_only=True) as shell:
            manifest = read_manifest(_opened())
            self._reads.kept = manifest.version
            while not self._over.wait(_PAUSE_SECONDS):
                counted = shell.execute(
                    " UNION ALL ".join(f"SELECT '{name}', COUNT(*) FROM \"{name}\"" for name in manifest.tables)
                ).fetchall()
                self._reads.note(manifest, counted)
                self._began.set()

    def _as_notebook(self) -> None:
        """A dataset from the first cell stays open; another cell opens a fresh one each time."""
        with ExitStack() as open_ones:
            kept = open_ones.enter_context(open_dataset(self._folder))
            self._reads.kept = kept.version or 0
            while not self._over.wait(_PAUSE_SECONDS):
                self._count(kept)
                with open_dataset(self._folder) as fresh:
                    self._count(fresh)
                self._began.set()

    def _count(self, dataset: Dataset) -> None:
        if dataset.manifest is None:
            raise AssertionError("a published copy is read")
        counted = [(name, len(dataset.arrow(name, columns=["web_url"]))) for name in dataset.tables]
        self._reads.note(dataset.manifest, counted)


def _opened() -> Path:
    """The folder of the version that this process has open, whatever `current` leads to by now."""
    entries = [entry for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    (database,) = {target for entry in entries if (target := entry.readlink()).name == DATABASE}
    return database.parent


def main() -> None:
    reading = Reading(sys.argv[1], like_a_shell=True)
    sys.stdout.write("open\n")
    sys.stdout.flush()
    sys.stdin.read()
    sys.stdout.write(json.dumps(asdict(reading.stop())))


if __name__ == "__main__":
    main()
