"""The outcomes of a run's entities: one row each from its first moment, replaced whole as the run goes on."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityWarning
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.ledger.columns import columns, key_columns, key_of
from surgical_pipeline.ledger.protocol import Transaction

_SEPARATOR = "\x1f"


def with_run_failure(
    outcomes: Iterable[EntityOutcome], failure: Failure, *, phase: Phase
) -> tuple[EntityOutcome, ...]:
    """The outcomes of a run that ended by ``failure`` in ``phase``: incomplete entities failed with the run.

    An entity is complete only once all its new documents are embedded, which the last stage does.
    """
    return tuple(
        outcome
        if outcome.failure is not None or _complete(outcome, phase)
        else outcome.model_copy(update={"failure": failure})
        for outcome in outcomes
    )


def _complete(outcome: EntityOutcome, phase: Phase) -> bool:
    embedded = set(outcome.embedded_document_ids)
    return phase is Phase.EMBED and outcome.usable and embedded == set(outcome.regenerated_document_ids)


def insert_pending(tx: Transaction, run_id: str, scope: Scope) -> None:
    """A pending outcome for each entity of ``scope``, of a run that has none."""
    tx.execute("insert_pending_outcomes", run_id=run_id, **key_columns(scope.keys()))


def replace_pending(tx: Transaction, run_id: str, scope: Scope) -> None:
    """Make the outcomes of a run that was queued with another scope exactly those of ``scope``."""
    tx.execute("delete_outcomes_outside_scope", run_id=run_id, **key_columns(scope.keys()))
    tx.execute("add_pending_outcomes", run_id=run_id, **key_columns(scope.keys()))


def load_outcomes(tx: Transaction, run_id: str, keys: Collection[EntityKey] | None = None) -> list[EntityOutcome]:
    """Outcomes of the run, of ``keys`` or all, issues first, each by ascending IID; empty for an unknown run."""
    dependent_failures: dict[EntityKey, list[Failure]] = {}
    for row in failure_rows(tx, run_id, keys):
        if row["position"] > 0:
            key = key_of(row)
            dependent_failures.setdefault(key, []).append(failure_of(row))
    return [_outcome(row, dependent_failures) for row in tx.rows("load_outcomes", **_which(run_id, keys))]


def failure_rows(tx: Transaction, run_id: str, keys: Collection[EntityKey] | None = None) -> list[dict[str, Any]]:
    """The run's rows of ``entity_failures``, of ``keys`` or all, in the order of ``load_outcomes``."""
    return tx.rows("load_failures", **_which(run_id, keys))


def _which(run_id: str, keys: Collection[EntityKey] | None) -> dict[str, Any]:
    return {"run_id": run_id, "all": keys is None, **key_columns(keys or ())}


def failure_of(row: dict[str, Any]) -> Failure:
    """A row of ``entity_failures`` as a value."""
    return Failure(
        code=FailureCode[row["code"]], message=row["message"], stage=row["stage"], dependent=row["dependent"]
    )


def _outcome(row: dict[str, Any], dependent_failures: dict[EntityKey, list[Failure]]) -> EntityOutcome:
    key = key_of(row)
    own = None
    if row["failure_code"] is not None:
        own = Failure(
            code=FailureCode[row["failure_code"]],
            message=row["failure_message"],
            stage=row["failure_stage"],
            dependent=row["failure_dependent"],
        )
    return EntityOutcome(
        entity_type=key.entity_type,
        iid=key.iid,
        fetched=row["fetched"],
        ingested=row["ingested"],
        stale_skipped=row["stale_skipped"],
        tombstoned=row["tombstoned"],
        unchanged=row["unchanged"],
        settled=row["settled"],
        moved_to_id=row["moved_to_id"],
        failure=own,
        dependent_failures=tuple(dependent_failures.get(key, ())),
        dependents_stale_skipped=tuple(row["dependents_stale_skipped"]),
        warnings=tuple(EntityWarning(**warning) for warning in json.loads(row["warnings"])),
        regenerated_document_ids=tuple(row["regenerated_document_ids"]),
        embedded_document_ids=tuple(row["embedded_document_ids"]),
    )


def save_outcomes(
    tx: Transaction,
    run_id: str,
    outcomes: Sequence[EntityOutcome],
    *,
    instead_of: Mapping[EntityKey, EntityOutcome] | None = None,
) -> None:
    """Replace these outcomes and their failures whole; of two for one entity the later counts.

    Each must have been requested. ``instead_of``: the outcomes of the run so far; None: not known. If somebody has
    ended the run and written other failures, those stay: the window's last statement rolls all of this back.
    """
    distinct = {outcome.key: outcome for outcome in outcomes}
    if not distinct:
        return
    failed = distinct if instead_of is None else [key for key in distinct if _failures(instead_of[key])]
    if failed:
        tx.execute("delete_failures", run_id=run_id, **key_columns(failed))
    tx.execute("update_outcomes", run_id=run_id, **_outcome_columns(distinct.values()))
    failures = [row for outcome in distinct.values() for row in _failure_rows(outcome)]
    if failures:
        names = ("entity_type", "iid", "position", "stage", "dependent", "code", "message", "retryable")
        tx.execute("insert_failures", run_id=run_id, **columns(failures, *names))


def _failures(outcome: EntityOutcome) -> bool:
    return outcome.failure is not None or bool(outcome.dependent_failures)


def _failure_rows(outcome: EntityOutcome) -> list[tuple[object, ...]]:
    numbered = list(enumerate(outcome.dependent_failures, start=1))
    if outcome.failure is not None:
        numbered.insert(0, (0, outcome.failure))
    return [
        (
            str(outcome.entity_type),
            outcome.iid,
            position,
            failure.stage,
            failure.dependent,
            str(failure.code),
            failure.message,
            failure.retryable,
        )
        for position, failure in numbered
    ]


def _outcome_columns(outcomes: Iterable[EntityOutcome]) -> dict[str, list[Any]]:
    rows = [
        (
            str(outcome.entity_type),
            outcome.iid,
            outcome.fetched,
            outcome.ingested,
            outcome.stale_skipped,
            outcome.tombstoned,
            outcome.unchanged,
            outcome.settled,
            outcome.moved_to_id,
            str(outcome.failure.code) if outcome.failure else None,
            outcome.failure.message if outcome.failure else None,
            outcome.failure.stage if outcome.failure else None,
            outcome.failure.dependent if outcome.failure else None,
            _SEPARATOR.join(outcome.dependents_stale_skipped),
            json.dumps([warning.model_dump() for warning in outcome.warnings]),
            _SEPARATOR.join(outcome.regenerated_document_ids),
            _SEPARATOR.join(outcome.embedded_document_ids),
        )
        for outcome in outcomes
    ]
    return columns(
        rows,
        "entity_type",
        "iid",
        "fetched",
        "ingested",
        "stale_skipped",
        "tombstoned",
        "unchanged",
        "settled",
        "moved_to_id",
        "failure_code",
        "failure_message",
        "failure_stage",
        "failure_dependent",
        "dependents_stale_skipped",
        "warnings",
        "regenerated",
        "embedded",
    )
