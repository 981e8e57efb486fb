"""An export from a terminal: check all that can be checked, read, write, tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from surgical_pipeline.cli.environment import (
    EXIT_FAILED,
    EXIT_USAGE,
    dataset_errors,
    fail,
    ledger_errors,
    usage_errors,
)
from surgical_pipeline.cli.terminal import foreign_stdout, print_json, say, tell
from surgical_pipeline.dataset.dataset import Dataset, open_dataset
from surgical_pipeline.dataset.export import (
    STREAMED,
    WRITERS,
    format_of,
    replaced,
    write_csv,
    write_parquet,
    write_xlsx,
)

_TABLE = "{table}"


@dataclass(frozen=True, slots=True)
class Request:
    """``files``: each with the tables that it gets. None: stdout."""

    files: Mapping[Path | None, tuple[str, ...]]
    form: str
    filters: Mapping[str, object]
    include_confidential: bool
    as_written: bool

    @property
    def to_stdout(self) -> bool:
        return None in self.files


@dataclass
class Done:
    source: str
    rows: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    cut: int = 0


def checked(
    tables: Sequence[str],
    to: str,
    *,
    form: str | None,
    filters: Mapping[str, object],
    include_confidential: bool,
    as_written: bool,
    force: bool,
) -> Request:
    """What is asked for, if it can be written.

    Raises:
        typer.Exit: 2, the file's name says no format, it exists, …
    """
    names = tuple(dict.fromkeys(tables))
    if to == "-":
        if form not in STREAMED:
            _wrong(f"say what to write to stdout: --format {' or --format '.join(STREAMED)}")
        files: dict[Path | None, tuple[str, ...]] = {None: names}
    else:
        if form is not None:
            _wrong("--format is for --to -; a file's name says its format")
        files = {Path(to): names}
        if _TABLE in to:
            files = {Path(to.replace(_TABLE, name)): (name,) for name in names}
    with dataset_errors():
        written = form or format_of(Path(to))
    if written in ("csv", "parquet") and any(len(those) > 1 for those in files.values()):
        hint = "one at a time" if to == "-" else f"write {Path(to).with_stem(_TABLE)} or a workbook (.xlsx)"
        _wrong(f"{written} holds one table: {hint}")
    if as_written and written != "csv":
        _wrong("--as-written is for csv: other formats write texts as they are")
    for path in files:
        _check_place(path, force=force)
    return Request(files, written, filters, include_confidential, as_written)


def run(request: Request) -> Done:
    """Read the tables and write them.

    Raises:
        typer.Exit: 2 for an unknown table or filter, 1 if something cannot be read or written.
    """
    with usage_errors(), ledger_errors(), dataset_errors(), open_dataset() as dataset:
        done = Done(dataset.location)
        names = [name for those in request.files.values() for name in those]
        readers = {name: dataset.table(name) for name in names}  # a wrong name is told before anything is read
        _note_hidden(dataset, request)
        for path, those in request.files.items():
            found = {
                name: readers[name].read(filters=request.filters, without_hidden=not request.include_confidential)
                for name in those
            }
            done.rows |= {name: table.num_rows for name, table in found.items()}
            done.cut += _write(found, path, request)
            done.files += [] if path is None else [str(path)]
    return done


def report(done: Done, *, as_json: bool, to_stdout: bool) -> None:
    """On stdout, or on stderr if the export itself is there."""
    if done.cut:
        tell(f"Note: {done.cut:,} texts were too long for a cell and are cut.", style="yellow")
    if as_json and not to_stdout:
        print_json({"source": done.source, "files": done.files, "rows": done.rows, "cut": done.cut})
        return
    put = tell if to_stdout else say
    for name, rows in done.rows.items():
        put(f"{name}: {rows:,} rows")
    put(f"from {done.source}" + (f" to {', '.join(done.files)}" if done.files else ""))


def _write(tables: Mapping[str, Any], path: Path | None, request: Request) -> int:
    writer = partial(write_csv, as_written=request.as_written) if request.form == "csv" else None
    if path is None:
        with foreign_stdout() as stream:
            (writer or WRITERS[request.form])(tables, stream)
        return 0
    try:
        with replaced(path) as partial_file:
            if request.form == "xlsx":
                return write_xlsx(tables, partial_file)
            if request.form == "parquet":
                write_parquet(tables, partial_file)
                return 0
            with partial_file.open("w", encoding="utf-8", newline="") as stream:
                (writer or WRITERS[request.form])(tables, stream)
            return 0
    except OSError as error:
        fail(f"{path} could not be written: {error.strerror or error}", code=EXIT_FAILED)


def _check_place(path: Path | None, *, force: bool) -> None:
    if path is None:
        return
    if not path.parent.is_dir():
        _wrong(f"the folder {path.parent} does not exist: create it first")
    if path.is_dir():
        _wrong(f"{path} is a folder: name a file in it")
    if path.exists() and not force:
        _wrong(f"{path} exists: name another file, or replace it with --force")


def _note_hidden(dataset: Dataset, request: Request) -> None:
    manifest = dataset.manifest
    if request.include_confidential and manifest is not None and not manifest.confidential:
        tell("Note: the published copy has no confidential issues and no internal notes.", style="yellow")


def _wrong(message: str) -> NoReturn:
    fail(message, code=EXIT_USAGE)
