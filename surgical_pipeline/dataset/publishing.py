"""Publish: a copy of what was synced, typed, that nobody's open program can turn against a sync.

The ledger is held for as long as copying its file takes. All else is done with the copy. A version gets its name
when it is whole, and ``current`` is turned to it last; a kill at any moment leaves the version before.
"""

import contextlib
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Protocol

from surgical_pipeline.dataset.engine import Built, build_published, building_errors
from surgical_pipeline.dataset.errors import DatasetError, PublishError, PublishRefusedError
from surgical_pipeline.dataset.manifest import FILE, FORMAT, Manifest, ManifestColumn, ManifestTable, read_manifest
from surgical_pipeline.dataset.publish_settings import ON_REQUEST, PublishSettings
from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.dataset.versions import (
    CURRENT,
    UNFINISHED,
    VERSIONS,
    current_version,
    flush,
    make_current,
    publishing_alone,
    remove_leftovers,
    remove_old,
    version_numbers,
)
from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.settings import Settings

_COPY = "ledger.duckdb"
_PRIVATE_FOLDER = 0o700


class CopyableLedger(Protocol):
    """A ledger in a file."""

    @property
    def stats(self) -> LockStats: ...

    def read(self, purpose: str = "read") -> AbstractContextManager[Any]: ...

    def copy_to(self, destination: Path, *, without: Collection[str] = ()) -> None:
        """``without``: tables that nobody will read in the copy, if leaving them out saves work."""


@dataclass(frozen=True, slots=True)
class Published:
    """``path``: of the version. ``removed``: the numbers of versions that went."""

    path: Path
    manifest: Manifest
    removed: tuple[int, ...]


def publish(
    ledger: CopyableLedger,
    folder: Path,
    *,
    confidential: bool = False,
    also: Iterable[str] = (),
    wait_at_most_seconds: float = 60.0,
) -> Published:
    """Make a new version and let ``current`` lead to it.

    Args:
        ledger: what is published.
        folder: of the published versions; made for its owner alone if it does not exist.
        confidential: confidential issues and internal notes, too, with all that belongs to them.
        also: tables that are published on request: ``documents``, ``embeddings``.
        wait_at_most_seconds: for another process that is publishing there.

    Raises:
        PublishRefusedError: the folder cannot be one of published versions, or another process is publishing.
        PublishError: the version could not be made; the one before stays.
        LedgerError: the ledger is missing or cannot be read.
    """
    started, wanted = time.monotonic(), frozenset(also)
    with _writing_errors(folder):
        _prepare(folder)
        with publishing_alone(folder, timeout_seconds=wait_at_most_seconds):
            remove_leftovers(folder)
            number = max([0, *version_numbers(folder)]) + 1
            with _unfinished(folder, number) as version:
                window_ms = _copy_of(ledger, version / _COPY, also=wanted)
                tables = _conditions(confidential=confidential, also=wanted)
                with building_errors():
                    built = build_published(version / _COPY, version, tables)
                manifest = _manifest(
                    built,
                    number,
                    confidential=confidential,
                    window_ms=window_ms,
                    seconds=time.monotonic() - started,
                )
                _finish(folder, version, manifest)
            make_current(folder, number)
            removed = remove_old(folder, at_once=partial(_has_too_much, confidential=confidential))
    return Published(folder / VERSIONS / str(number), manifest, tuple(removed))


def publish_as_set(ledger: CopyableLedger, settings: Settings) -> Published:
    """The same as the settings say.

    Raises:
        SettingsError: a setting is wrong.
        PublishRefusedError: ``SURGICAL_PUBLISH`` is not set, and as above.
    """
    wanted = PublishSettings.of(settings)
    if wanted.folder is None:
        raise PublishRefusedError("SURGICAL_PUBLISH is not set: it names the folder for the published copies")
    return publish(
        ledger,
        wanted.folder,
        confidential=wanted.confidential,
        also=wanted.also,
        wait_at_most_seconds=settings.lock_timeout_seconds,
    )


def _prepare(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise PublishRefusedError(f"{folder} is a file: name a folder for the published copies")
    if not folder.parent.is_dir():
        raise PublishRefusedError(f"The folder {folder.parent} does not exist: create it first")
    folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    link = folder / CURRENT
    if link.exists() and not link.is_symlink():
        raise PublishRefusedError(f"{link} is not a link that we made: name another folder")
    (folder / VERSIONS).mkdir(mode=_mode_of(folder), exist_ok=True)


@contextmanager
def _unfinished(folder: Path, number: int) -> Iterator[Path]:
    """A folder of the version, which is gone at the end unless it got its name."""
    version = folder / VERSIONS / f"{UNFINISHED}{number}"
    version.mkdir(mode=_PRIVATE_FOLDER)
    try:
        yield version
    finally:
        with contextlib.suppress(OSError):
            if version.exists():
                shutil.rmtree(version)


def _copy_of(ledger: CopyableLedger, copy: Path, *, also: frozenset[str]) -> float:
    """Copy the ledger; gives how long others had to wait for that, in milliseconds."""
    with ledger.read("publish"):  # an older one is migrated: the copy is only read
        pass
    before = ledger.stats.held_ms
    # A vector is shown with its document's address.
    ledger.copy_to(copy, without=ON_REQUEST - also - ({"documents"} if "embeddings" in also else set()))
    return round(ledger.stats.held_ms - before, 3)


def _conditions(*, confidential: bool, also: frozenset[str]) -> dict[str, str]:
    """Which tables are published, and which of their rows."""
    return {
        table.name: f"NOT ({table.hidden})" if table.hidden and not confidential else ""
        for table in TABLES.values()
        if table.name not in ON_REQUEST or table.name in also
    }


def _manifest(built: Built, number: int, *, confidential: bool, window_ms: float, seconds: float) -> Manifest:
    standing = built.standing
    return Manifest(
        format=FORMAT,
        version=number,
        made_at=datetime.now(UTC),
        made_by=f"surgical-pipeline {installed('surgical-pipeline')}",
        ledger_id=standing.made_at.astimezone(UTC).isoformat(),
        ledger_schema=standing.schema_version,
        ledger_state=standing.text,
        gitlab_url=standing.gitlab_url,
        last_run=standing.last_run,
        last_run_at=standing.last_run_at,
        confidential=confidential,
        window_ms=window_ms,
        seconds=round(seconds, 3),
        tables={
            name: ManifestTable(
                rows=rows,
                columns=tuple(
                    ManifestColumn(name=one.name, type=one.type, meaning=one.meaning)
                    for one in TABLES[name].columns
                ),
            )
            for name, rows in built.rows.items()
        },
    )


def _has_too_much(version: Path, *, confidential: bool) -> bool:
    """Whether an older version has what is confidential, which the new one has not."""
    try:
        return read_manifest(version).confidential and not confidential
    except (OSError, DatasetError):
        return False


def _finish(folder: Path, version: Path, manifest: Manifest) -> None:
    """Remove the copy, give all files the folder's permissions, flush them, and give the version its name."""
    for leftover in version.glob(f"{_COPY}*"):
        leftover.unlink()
    shutil.rmtree(version / "spilled", ignore_errors=True)
    (version / FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    mode = _mode_of(folder)
    for path in (*version.rglob("*"), version):
        path.chmod(mode if path.is_dir() else mode & 0o666)
        flush(path)
    version.rename(folder / VERSIONS / str(manifest.version))
    flush(folder / VERSIONS)


def _mode_of(folder: Path) -> int:
    """Who may read the folder may read what is published in it."""
    return folder.stat().st_mode & 0o7777


@contextmanager
def _writing_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        stays = "the version before stays" if current_version(folder) else "nothing is published there yet"
        raise PublishError(
            f"{folder} could not be written: {error.strerror or error}. Check its permissions and the free space: "
            f"a publish takes as much as the ledger, and its tables again; {stays}."
        ) from error
