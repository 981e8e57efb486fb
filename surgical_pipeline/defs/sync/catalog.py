"""What Dagster's catalog says of our assets beside their names: kinds, owners, tags, place, columns and code."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any

import dagster as dg

import surgical_pipeline
from surgical_pipeline.dataset.columns import Column
from surgical_pipeline.dataset.schema import SCHEMA, TABLES
from surgical_pipeline.defs.asset_keys import (
    DISCUSSIONS,
    DOCUMENTS,
    EMBEDDINGS,
    GITLAB,
    ISSUES,
    MERGE_REQUESTS,
    RESOURCE_EVENTS,
)
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings, SettingsError
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.embed import run_embed_for_document_ids
from surgical_pipeline.stages.ingest import run_ingest

_STAGES: dict[dg.AssetKey, Callable[..., Any]] = {
    ISSUES: run_ingest,
    MERGE_REQUESTS: run_ingest,
    DISCUSSIONS: run_dependents,
    RESOURCE_EVENTS: run_dependents,
    DOCUMENTS: run_generate_docs_for_sources,
    EMBEDDINGS: run_embed_for_document_ids,
}
"""The stage that writes each asset."""
_SEVERAL_TABLES = {"resource_events": ("label_events", "state_events", "milestone_events")}
_TABLES_PAGE = "docs/data.md"


def described(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The same asset, one that a sync keeps up to date, with what its page shows."""
    name = spec.key.path[-1]
    stage = _STAGES[spec.key]
    tables = _SEVERAL_TABLES.get(name, (name,))
    return with_place(
        spec.replace_attributes(tags={"surgical/stage": stage.__module__.rsplit(".", 1)[-1]}),
        kinds={"python", kind_of_ledger(), *(["gitlab"] if spec.key in GITLAB else [])},
        uri=uri_of_ledger(),
        code=stage,
        label=f"the stage {stage.__module__.rsplit('.', 1)[-1]}",
        docs=f"{_TABLES_PAGE}#{tables[0]}",
        metadata={
            "dagster/table_name": ", ".join(f"{SCHEMA}.{table}" for table in tables),
            "dagster/column_schema": column_schema(*tables),
        },
    )


def with_place(
    spec: dg.AssetSpec,
    *,
    kinds: set[str],
    uri: str | None,
    code: Callable[..., Any],
    docs: str,
    label: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetSpec:
    """The same asset with its kinds, where it is, what makes it, and what to read. Owners are SURGICAL_OWNERS.

    ``code``: the function that makes it, with what to call it. ``docs``: a file of this repository, and the place
    in it.
    """
    return spec.replace_attributes(
        kinds=kinds,
        owners=list(Settings.from_environment().owners),
        metadata={
            **spec.metadata,
            **(metadata or {}),
            **({"dagster/uri": uri} if uri else {}),
            **read_more(docs),
            "dagster/code_references": _references([_where(code, label), *_page(docs)]),
        },
    )


def column_schema(*tables: str) -> dg.TableSchema:
    """The columns of these typed tables together, each once. What only some of them have says which."""
    found: dict[str, tuple[Column, list[str]]] = {}
    for table in tables:
        for column in TABLES[table].columns:
            found.setdefault(column.name, (column, []))[1].append(table)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=str(column.type),
                description=_meaning(column, of=having, all_tables=tables),
            )
            for column, having in found.values()
        ]
    )


def _meaning(column: Column, *, of: list[str], all_tables: tuple[str, ...]) -> str:
    return column.meaning if len(of) == len(all_tables) else f"{column.meaning} ({', '.join(of)})"


def uri_of(scheme: str, find: Callable[[Settings], Path | None]) -> str | None:
    """Where ``find`` says that it is; None if the settings do not say where, or are wrong: a run says why."""
    with suppress(SettingsError):
        path = find(Settings.from_environment())
        return f"{scheme}://{path}" if path else None
    return None


def kind_of_ledger() -> str:
    """What the ledger is stored in, by Dagster's name for it."""
    with suppress(SettingsError):
        if Settings.from_environment().ledger_address is not None:
            return "postgres"
    return "duckdb"


def uri_of_ledger() -> str | None:
    """Where the ledger is: a file, or a database without its password; None as for ``uri_of``."""
    with suppress(SettingsError):
        settings = Settings.from_environment()
        if settings.ledger_address is not None:
            return open_ledger(settings).location
    return uri_of("duckdb", lambda settings: settings.ledger_path)


def _references(found: list[tuple[str, int, str]]) -> dg.CodeReferencesMetadataValue:
    """Each a file, a line of it, and what to call it."""
    with warnings.catch_warnings():
        # Whoever starts Dagster cannot do anything about it; if the class changes, a test fails.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=path, line_number=line, label=label)
                for path, line, label in found
            ]
        )


def _where(function: Callable[..., Any], label: str) -> tuple[str, int, str]:
    code: CodeType = function.__code__
    return code.co_filename, code.co_firstlineno, label or function.__name__


def _page(docs: str) -> Iterator[tuple[str, int, str]]:
    """The page of the docs, where they are beside the package; an installed package has none."""
    page = docs.partition("#")[0]
    path = Path(surgical_pipeline.__file__).parents[1] / page
    if path.is_file():
        yield str(path), 1, page
