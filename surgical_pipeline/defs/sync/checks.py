"""Asset checks that run at the end of every run and show in the UI."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from surgical_pipeline.defs.asset_keys import DOCUMENTS, EMBEDDINGS, ISSUES
from surgical_pipeline.defs.gateways import GATEWAYS, RunGateways, gateways_of
from surgical_pipeline.defs.handing_on import handed_on
from surgical_pipeline.ledger import checks
from surgical_pipeline.ledger.events import EventState, count_events
from surgical_pipeline.ledger.runs import RunSummary, find_run

NOTHING_OUTSIDE_SCOPE = "nothing_outside_scope_changed"
EMBEDDINGS_CURRENT = "embeddings_are_current"
NO_ORPHAN_VECTOR = "no_vector_without_document"
NO_DUPLICATE_DOCUMENT = "no_duplicate_document"
NO_DEAD_LETTER = "no_dead_letter"
UP_TO_DATE = "everything_asked_for_is_up_to_date"
_DEFECT = "This is a defect: please report it."
_NAMED = 10
"""Number of ids that a check names; the rest is in the ledger."""


_SPECS = (
    dg.AssetCheckSpec(
        UP_TO_DATE,
        asset=ISSUES,
        description="Each issue and merge request that the run was given came through without a failure or a "
        "warning.",
    ),
    dg.AssetCheckSpec(
        NOTHING_OUTSIDE_SCOPE,
        asset=EMBEDDINGS,
        description="Every row that this run wrote belongs to an issue or merge request that it was given, "
        "and no discussion, event or link of another is missing.",
    ),
    dg.AssetCheckSpec(
        EMBEDDINGS_CURRENT,
        asset=EMBEDDINGS,
        description="Every document that this run regenerated has a vector of its present text.",
    ),
    dg.AssetCheckSpec(
        NO_ORPHAN_VECTOR,
        asset=EMBEDDINGS,
        description="Every vector in the ledger belongs to a document that is there and not deleted.",
    ),
    dg.AssetCheckSpec(
        NO_DUPLICATE_DOCUMENT,
        asset=DOCUMENTS,
        description="No issue, merge request or discussion in the ledger has two live documents of one kind.",
    ),
    dg.AssetCheckSpec(
        NO_DEAD_LETTER,
        asset=ISSUES,
        description="No event of GitLab's hooks was given up after five runs that did not bring its entity up "
        "to date.",
    ),
)


@dg.op(
    name="ledger_checks",
    description="Look, in one window, at what the run wrote and at what must hold in the whole ledger.",
    required_resource_keys={GATEWAYS},
    ins={spec.asset_key.to_python_identifier(): dg.In(dg.Nothing) for spec in _SPECS},
    out={spec.get_python_identifier(): handed_on(None) for spec in _SPECS},
)
def _check(context: dg.OpExecutionContext) -> Iterator[dg.AssetCheckResult]:
    yield from check_results(gateways_of(context), context.run_id)


# As @multi_asset_check makes them, which would ask for the deployment's own IO manager and never use it.
ledger_checks = dg.AssetChecksDefinition.create(
    node_def=_check,
    keys_by_input_name={spec.asset_key.to_python_identifier(): spec.asset_key for spec in _SPECS},
    check_specs_by_output_name={spec.get_python_identifier(): spec for spec in _SPECS},
    can_subset=False,
)


def check_results(gateways: RunGateways, run_id: str) -> Iterator[dg.AssetCheckResult]:
    """All checks of a run that came to its end, in one read window: each window waits for the lock."""
    model = gateways.embedder.name
    with gateways.ledger.read("check") as tx:
        checked = checks.what_is_checked(tx, run_id)
        of_run = [
            *_came_through(find_run(tx, run_id), run_id),
            _stayed_in_scope(checks.rows_outside_scope(tx, run_id)),
            _embedded(checks.documents_without_current_embedding(tx, run_id, model), checked),
        ]
        of_ledger = [
            _no_orphans(checks.orphan_vectors(tx), checked),
            _no_duplicates(checks.duplicate_documents(tx), checked),
            _no_dead_letters(count_events(tx)),
        ]
    yield from (*of_run, *of_ledger)


def _came_through(run: RunSummary | None, run_id: str) -> Iterator[dg.AssetCheckResult]:
    if run is not None:
        retry = f"`surgical-pipeline retry {run_id}` repeats what can succeed."
        yield _result(
            UP_TO_DATE,
            ISSUES,
            what_to_do=f"The table of the run's embeddings tells which and why; {retry}"
            if run.warnings_count
            else "",
            metadata={"failures and warnings": run.warnings_count, "asked for": run.requested},
        )


def _stayed_in_scope(scope: checks.ScopeCheck) -> dg.AssetCheckResult:
    return _result(
        NOTHING_OUTSIDE_SCOPE,
        EMBEDDINGS,
        what_to_do="" if scope.ok else _DEFECT,
        error=True,
        metadata={
            "rows outside the scope": sum(scope.outside.values()),
            "rows outside the scope that are gone": scope.gone,
            "rows that this run wrote": scope.written,
            **{f"of them in {table}": rows for table, rows in scope.outside.items()},
        },
    )


def _embedded(missing: Sequence[str], checked: checks.Checked) -> dg.AssetCheckResult:
    todo = "The next run of their entities embeds them, or `surgical-pipeline embed-backlog`."
    return _result(
        EMBEDDINGS_CURRENT,
        EMBEDDINGS,
        what_to_do=todo if missing else "",
        metadata={
            "documents without a current vector": len(missing),
            "documents that this run regenerated": checked.regenerated_documents,
            **_first(missing),
        },
    )


def _no_orphans(orphans: Mapping[str, int], checked: checks.Checked) -> dg.AssetCheckResult:
    return _result(
        NO_ORPHAN_VECTOR,
        EMBEDDINGS,
        what_to_do="Searches leave them out; please report how they came about." if orphans else "",
        metadata={
            "vectors without a live document": sum(orphans.values()),
            "vectors in the ledger": checked.vectors,
            **_first(list(orphans)),
        },
    )


def _no_duplicates(duplicates: Sequence[str], checked: checks.Checked) -> dg.AssetCheckResult:
    return _result(
        NO_DUPLICATE_DOCUMENT,
        DOCUMENTS,
        what_to_do=_DEFECT if duplicates else "",
        error=True,
        metadata={
            "documents that are not the only one": len(duplicates),
            "live documents in the ledger": checked.live_documents,
            **_first(duplicates),
        },
    )


def _no_dead_letters(events: Mapping[EventState, int]) -> dg.AssetCheckResult:
    dead = events[EventState.DEAD]
    return _result(
        NO_DEAD_LETTER,
        ISSUES,
        what_to_do="See why with `surgical-pipeline events list --state dead`." if dead else "",
        metadata={"dead letters": dead, "events in the inbox": sum(events.values())},
    )


def _result(
    check: str, asset: dg.AssetKey, *, what_to_do: str, metadata: Mapping[str, int | str], error: bool = False
) -> dg.AssetCheckResult:
    """``what_to_do``: a sentence; empty if nothing is wrong."""
    return dg.AssetCheckResult(
        check_name=check,
        asset_key=asset,
        passed=not what_to_do,
        severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
        description=what_to_do or None,
        metadata=dict(metadata),
    )


def _first(ids: Sequence[str]) -> dict[str, str]:
    return {"first documents": ", ".join(ids[:_NAMED])} if ids else {}
