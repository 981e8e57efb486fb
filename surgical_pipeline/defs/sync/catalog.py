"""What Dagster's catalog says of our assets beside their names: kinds, owners, tags, place and code."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from types import CodeType
from typing import Any

import dagster as dg

from surgical_pipeline.defs.asset_keys import (
    DISCUSSIONS,
    DOCUMENTS,
    EMBEDDINGS,
    GITLAB,
    ISSUES,
    MERGE_REQUESTS,
    RESOURCE_EVENTS,
)
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


def described(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The same asset with what its page shows. Owners are those of SURGICAL_OWNERS."""
    settings = Settings.from_environment()
    stage = _STAGES[spec.key]
    return spec.replace_attributes(
        kinds={"python", "duckdb", *(["gitlab"] if spec.key in GITLAB else [])},
        owners=list(settings.owners),
        tags={"surgical/stage": stage.__module__.rsplit(".", 1)[-1]},
        metadata={
            **spec.metadata,
            **_place(settings),
            "dagster/code_references": _code(stage),
        },
    )


def _place(settings: Settings) -> dict[str, str]:
    """Empty if the settings do not say where; what needs the ledger says why."""
    with suppress(SettingsError):
        return {"dagster/uri": f"duckdb://{settings.ledger_path}"}
    return {}


def _code(stage: Callable[..., Any]) -> dg.CodeReferencesMetadataValue:
    with warnings.catch_warnings():
        # Whoever starts Dagster cannot do anything about it; if the class changes, a test fails.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.CodeReferencesMetadataValue(code_references=[_where(stage)])


def _where(stage: Callable[..., Any]) -> dg.LocalFileCodeReference:
    code: CodeType = stage.__code__
    return dg.LocalFileCodeReference(
        file_path=code.co_filename,
        line_number=code.co_firstlineno,
        label=f"the stage {stage.__name__}",
    )
