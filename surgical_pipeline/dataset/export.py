"""Tables as files for other programs: Parquet, CSV, JSON, and workbooks for spreadsheets.

What people wrote in GitLab must not become a formula that somebody's spreadsheet runs. In a workbook every text is
written as a text. CSV cannot say so; there a text that begins like a formula gets an apostrophe before it, as in
GitLab's own CSV exports.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TextIO

from surgical_pipeline.dataset.errors import DatasetError

FORMATS = ("parquet", "csv", "xlsx", "json")
STREAMED = ("csv", "json")
"""What can be written to stdout."""
_BEGINS_A_FORMULA = ("=", "+", "-", "@", ";", "\t", "\r", "\n")
_BATCH = 10_000
SHEET_ROWS = 1_048_576 - 1
"""Rows that a sheet holds below its heading."""
CELL_CHARACTERS = 32_767
_CUT = " … (cut: a cell holds no more)"


def format_of(destination: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        DatasetError: none that we write.
    """
    suffix = destination.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise DatasetError(f"{destination} does not say what to write: let it end in {', '.join(FORMATS)}")
    return suffix


def write_csv(tables: Mapping[str, Any], stream: TextIO, *, as_written: bool = False) -> None:
    """One table: a heading and its rows, as RFC 4180 has it. Lists are joined by commas, NULL is empty.

    ``as_written``: no apostrophe before what looks like a formula, for programs that read CSV as data.
    """
    ((_, table),) = tables.items()
    shown = _plain if as_written else _defused
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(table.column_names)
    for row in _rows(table):
        writer.writerow([shown(value) for value in row])


def write_json(tables: Mapping[str, Any], stream: TextIO) -> None:
    """One table: a list of objects. Several: an object with such a list for each."""
    several = len(tables) > 1
    stream.write("{" if several else "")
    for position, (name, table) in enumerate(tables.items()):
        if several:
            stream.write(f"{',' if position else ''}\n{json.dumps(name)}: ")
        _write_list(table, stream)
    stream.write("}\n" if several else "\n")


def write_parquet(tables: Mapping[str, Any], path: Path) -> None:
    import pyarrow.parquet  # noqa: PLC0415  only where it is used

    ((_, table),) = tables.items()
    pyarrow.parquet.write_table(table, path, compression="zstd")


def write_xlsx(tables: Mapping[str, Any], path: Path) -> int:
    """A sheet for each table; gives how many texts were cut, because a cell holds 32,767 characters.

    Raises:
        DatasetError: a table has more rows than a sheet holds.
    """
    import xlsxwriter  # noqa: PLC0415  only where it is used

    for name, table in tables.items():
        if table.num_rows > SHEET_ROWS:
            raise DatasetError(
                f"{name} has {table.num_rows:,} rows, and a sheet holds {SHEET_ROWS:,}: write parquet or csv, "
                "or export fewer"
            )
    options = {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
    with closing(xlsxwriter.Workbook(str(path), options)) as book:
        heading = book.add_format({"bold": True})
        return sum(_write_sheet(book.add_worksheet(name), table, heading) for name, table in tables.items())


WRITERS: Mapping[str, Callable[[Mapping[str, Any], TextIO], None]] = {"csv": write_csv, "json": write_json}


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes that name at the end, or goes if anything fails."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _rows(table: Any) -> Iterator[Sequence[Any]]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _write_list(table: Any, stream: TextIO) -> None:
    stream.write("[")
    for position, row in enumerate(_rows(table)):
        values = {name: _for_json(value) for name, value in zip(table.column_names, row, strict=True)}
        stream.write(",\n" if position else "\n")
        stream.write(json.dumps(values, ensure_ascii=False))
    stream.write("\n]" if table.num_rows else "]")


def _for_json(value: Any) -> Any:
    return _stamp(value) if isinstance(value, date) else value


def _stamp(value: date) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat()


def _plain(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case date():
            return _stamp(value)
        case list():
            return ", ".join("" if one is None else str(one) for one in value)
    return value


def _defused(value: Any) -> Any:
    text = _plain(value)
    if isinstance(value, str | list) and text.startswith(_BEGINS_A_FORMULA):
        return f"'{text}"
    return text


def _write_sheet(sheet: Any, table: Any, heading: Any) -> int:
    cut = 0
    for column, name in enumerate(table.column_names):
        sheet.write_string(0, column, name, heading)
    sheet.freeze_panes(1, 0)
    for number, row in enumerate(_rows(table), start=1):
        for column, value in enumerate(row):
            match value:
                case None:
                    continue
                case bool():
                    sheet.write_boolean(number, column, value)
                case int() | float():
                    sheet.write_number(number, column, value)
                case datetime() if value.year > _EXCEL_BEGINS:
                    sheet.write_datetime(number, column, value.astimezone(UTC).replace(tzinfo=None))
                case _:
                    text = str(_plain(value))
                    if len(text) > CELL_CHARACTERS:
                        text, cut = text[: CELL_CHARACTERS - len(_CUT)] + _CUT, cut + 1
                    sheet.write_string(number, column, text)
    return cut


_EXCEL_BEGINS = 1900
