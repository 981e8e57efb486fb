"""What Dagster's catalog says of our assets beside their names: kinds, owners, tags, place and code."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from types import CodeType
from typing import Any

import dagster as dg

from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings, SettingsError
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.embed import run_embed_for_document_ids
from surgical_pipeline.stages.ingest import run_ingest

_STAGES: dict[str, Callable[..., Any]] = {
    "gitlab/issues": run_ingest,
    "gitlab/merge_requests": run_ingest,
    "gitlab/discussions": run_dependents,
    "gitlab/resource_events": run_dependents,
    "documents": run_generate_docs_for_sources,
    "embeddings": run_embed_for_document_ids,
}
"""The stage that writes each asset."""


def described(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The same asset with what its page shows. Owners are those of SURGICAL_OWNERS."""
    settings = Settings.from_environment()
    key = spec.key.to_user_string()
    stage = _STAGES[key]
    return spec.replace_attributes(
        kinds={"python", "duckdb", *(["gitlab"] if key.startswith("gitlab/") else [])},
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
        if settings.ledger_address is None:
            return {"dagster/uri": f"duckdb://{settings.ledger_path}"}
        return {"dagster/uri": open_ledger(settings).location}
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
