"""The argument of `backfill --from-file`: a list of entities in a CSV, Parquet or text file."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from surgical_pipeline.cli.scopes import listed, read_list
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope, ScopeError
from surgical_pipeline.domain.scope_list import Item
from surgical_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

_REFERENCES = ("reference", "entity", "address", "web_url", "url", "scope")
"""Columns of which one may name the whole entity, as the text file's lines do."""
_TYPES = {
    "issue": EntityType.ISSUE,
    "issues": EntityType.ISSUE,
    "workitem": EntityType.ISSUE,
    "workitems": EntityType.ISSUE,
    "mergerequest": EntityType.MERGE_REQUEST,
    "mergerequests": EntityType.MERGE_REQUEST,
    "mr": EntityType.MERGE_REQUEST,
    "mrs": EntityType.MERGE_REQUEST,
}
_PARQUET = b"PAR1"
_NEED = (
    f"it needs the columns project, type and iid, or one column of references or addresses named "
    f"{', '.join(_REFERENCES)}"
)


def read_file(name: str, *, project: str | None) -> tuple[Scope, ...]:
    """All entities of the file, a scope for each project; ``-`` is a text list on stdin.

    A file whose name ends in ``.csv``, or that is Parquet, has columns; any other is a text of references
    (``group/project#12``) and addresses, as `sync @FILE` reads it. ``project``: for rows that name none.

    Raises:
        ScopeError: with the file and the line, or for Parquet the row, of what cannot be read.
        SettingsError: there is an address, but no GitLab is configured.
    """
    content = read_list(name)
    if content.startswith(_PARQUET):
        found = _of_rows(_parquet(name, content), name, project=project, lines=False)
    elif Path(name).suffix.lower() == ".csv":
        found = _of_rows(_csv(name, content), name, project=project, lines=True)
    else:
        found = (scope for item in listed(name, content) for scope in _scopes(item))
    keys: dict[str, set[EntityKey]] = {}
    for scope in found:
        keys.setdefault(scope.project, set()).update(scope.keys())
    if not keys:
        raise ScopeError(f"{name} names no issue or merge request")
    return tuple(Scope.of_keys(each, of_it) for each, of_it in keys.items())


def _csv(name: str, content: bytes) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_csv(
            BytesIO(content), dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig"
        )
    except (ValueError, UnicodeDecodeError) as error:  # a parser's error says the line itself
        raise ScopeError(f"{name} cannot be read as CSV: {' '.join(str(error).split())}") from error


def _parquet(name: str, content: bytes) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(BytesIO(content))
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ScopeError(f"{name} cannot be read as Parquet: {' '.join(str(error).split())}") from error


def _of_rows(frame: "pd.DataFrame", name: str, *, project: str | None, lines: bool) -> Iterator[Scope]:
    """``lines``: the rows are lines of a text, which begin below the header."""
    frame = frame.rename(columns=lambda column: str(column).strip().lower())
    reference = next((column for column in _REFERENCES if column in frame.columns), None)
    if not {"type", "iid"} <= set(frame.columns) or ("project" not in frame.columns and project is None):
        if reference is None:
            raise ScopeError(f"{name}: {_NEED}; it has {', '.join(map(str, frame.columns)) or 'none'}")
        wanted = [reference]
    else:
        wanted = [column for column in ("project", "type", "iid") if column in frame.columns]
    line = 1
    for number, row in enumerate(frame.to_dict("records"), start=1):
        line += 1
        cells = {str(column): _cell(row[column]) for column in wanted}
        if any(cells.values()):
            place = f"{name}, line {line}" if lines else f"{name}, row {number}"
            yield from _row(cells, place, project=project)
        if lines:  # a cell may have line ends of its own
            line += sum(str(cell).count("\n") for cell in row.values())


def _cell(value: object) -> str:
    """As text; a missing one is empty, and 12.0, which is what a column with missing numbers has, is 12."""
    if value is None or value != value:  # noqa: PLR0124  only NaN is not itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _row(cells: Mapping[str, str], place: str, *, project: str | None) -> Iterator[Scope]:
    if "iid" not in cells:
        (text,) = cells.values()
        yield from _scopes(Item(text, place))
        return
    kind = _TYPES.get(cells["type"].lower().replace("_", "").replace(" ", "").replace("-", ""))
    if kind is None:
        raise ScopeError(f"{place}: the type is {cells['type']!r}: it may be issue or merge_request")
    named = cells.get("project") or project
    if not named:
        raise ScopeError(f"{place}: it names no project")
    if not cells["iid"].isdecimal():
        raise ScopeError(f"{place}: the iid is {cells['iid']!r}: it is a positive whole number")
    yield from _scopes(Item(f"{named}{kind.sigil}{cells['iid']}", place))


def _scopes(item: Item) -> Iterator[Scope]:
    try:
        yield item.scope(Settings.from_environment().gitlab_url if item.is_address else "")
    except ScopeError as error:
        raise ScopeError(f"{item.place}: {error}" if item.place else str(error)) from error
