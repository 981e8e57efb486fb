"""What became of each requested entity, and the one document that machines read about a run."""

from collections.abc import Iterable

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from surgical_pipeline.domain.failures import EntityFailure, Failure, FailureCode
from surgical_pipeline.domain.scope import EntityKey, EntityType

SCHEMA_VERSION = 1
"""Version of ``SyncResult``: raised when a field changes its meaning or is removed, not when one is added."""


class EntityWarning(BaseModel):
    """What somebody should know about an entity though nothing of it failed."""

    model_config = ConfigDict(frozen=True)

    stage: str = Field(description="The phase in which it was noticed: ingest or dependents.")
    message: str


class EntityOutcome(BaseModel):
    """What became of one requested entity. There is exactly one for each, whatever ended the run."""

    model_config = ConfigDict(frozen=True)

    entity_type: EntityType
    iid: int
    fetched: bool = False
    ingested: bool = False
    stale_skipped: bool = False
    tombstoned: bool = False
    unchanged: bool = False
    """The ledger had it as it is, so its dependents were not fetched: only in a run that asks for that."""
    settled: bool | None = None
    """Fetched so long after ``updated_at`` that any later change will show in it; None: not known."""
    moved_to_id: int | None = None
    """GitLab's global id of the issue that this one was moved to."""
    failure: Failure | None = None
    """Why the entity itself is not up to date; dependents fail on their own, below."""
    dependent_failures: tuple[Failure, ...] = ()
    dependents_stale_skipped: tuple[str, ...] = ()
    """Dependents that were fetched but not written: another run had fetched them later."""
    warnings: tuple[EntityWarning, ...] = ()
    regenerated_document_ids: tuple[str, ...] = ()
    embedded_document_ids: tuple[str, ...] = ()

    @property
    def key(self) -> EntityKey:
        return EntityKey(self.entity_type, self.iid)

    @property
    def usable(self) -> bool:
        """The local copy is as right as GitLab let us make it."""
        return self.ingested or self.stale_skipped or self.tombstoned

    @property
    def has_warning(self) -> bool:
        return self.failure is not None or bool(self.dependent_failures) or bool(self.warnings)


class Counters(BaseModel):
    """Figures of a run; a column of ``sync_runs`` each."""

    model_config = ConfigDict(frozen=True)

    requested: int = 0
    fetched: int = 0
    ingested: int = 0
    stale_skipped: int = 0
    tombstoned: int = 0
    failed: int = 0
    dependents_replaced: int = 0
    dependents_stale_skipped: int = 0
    dependent_failures: int = 0
    documents_regenerated: int = 0
    documents_unchanged: int = 0
    documents_errored: int = 0
    documents_embedded: int = 0
    documents_reused: int = 0
    documents_superseded: int = 0
    documents_embed_failed: int = 0


class ProjectRef(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: int | None
    """None if the run ended before GitLab reported it."""
    path: str


class LockStats(BaseModel):
    """Write and read windows of a run on the ledger file; times in milliseconds."""

    model_config = ConfigDict(frozen=True)

    windows: int = 0
    wait_ms: float = 0.0
    held_ms: float = 0.0
    longest_held_ms: float = 0.0

    def __add__(self, other: "LockStats") -> "LockStats":
        return LockStats(
            windows=self.windows + other.windows,
            wait_ms=self.wait_ms + other.wait_ms,
            held_ms=self.held_ms + other.held_ms,
            longest_held_ms=max(self.longest_held_ms, other.longest_held_ms),
        )

    def __sub__(self, earlier: "LockStats") -> "LockStats":
        """The difference since ``earlier``; the longest hold remains that of the whole."""
        return LockStats(
            windows=self.windows - earlier.windows,
            wait_ms=self.wait_ms - earlier.wait_ms,
            held_ms=self.held_ms - earlier.held_ms,
            longest_held_ms=self.longest_held_ms,
        )


class HttpStats(BaseModel):
    """Requests sent to GitLab; a retried request counts each time it was sent."""

    model_config = ConfigDict(frozen=True)

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0

    def __add__(self, other: "HttpStats") -> "HttpStats":
        return HttpStats(
            requests=self.requests + other.requests,
            retries=self.retries + other.retries,
            rate_limited=self.rate_limited + other.rate_limited,
        )

    def __sub__(self, earlier: "HttpStats") -> "HttpStats":
        return HttpStats(
            requests=self.requests - earlier.requests,
            retries=self.retries - earlier.retries,
            rate_limited=self.rate_limited - earlier.rate_limited,
        )


class FailureReport(BaseModel):
    """A failure as machines read it, in ``SyncResult``."""

    model_config = ConfigDict(frozen=True)

    code: FailureCode
    message: str
    hint: str = Field(description="What to do about it.")
    stage: str
    dependent: str | None
    retryable: bool

    @classmethod
    def of(cls, failure: Failure) -> "FailureReport":
        return cls(
            code=failure.code,
            message=failure.message,
            hint=failure.code.advice,
            stage=failure.stage,
            dependent=failure.dependent,
            retryable=failure.retryable,
        )


class EntityFailureReport(FailureReport):
    entity: str = Field(description="The entity as people write it: group/project#12.")


class EntityReport(BaseModel):
    model_config = ConfigDict(frozen=True)

    entity: str = Field(description="The entity as people write it: group/project#12.")
    entity_type: EntityType
    iid: int
    fetched: bool
    ingested: bool
    stale_skipped: bool
    tombstoned: bool
    unchanged: bool
    settled: bool | None
    moved_to_id: int | None
    dependent_failures: tuple[FailureReport, ...]
    dependents_stale_skipped: tuple[str, ...]
    failure: FailureReport | None
    warnings: tuple[EntityWarning, ...]
    regenerated_document_ids: tuple[str, ...]
    embedded_document_ids: tuple[str, ...]

    @classmethod
    def of(cls, outcome: EntityOutcome, project_path: str) -> "EntityReport":
        return cls(
            entity=f"{project_path}{outcome.key}",
            entity_type=outcome.entity_type,
            iid=outcome.iid,
            fetched=outcome.fetched,
            ingested=outcome.ingested,
            stale_skipped=outcome.stale_skipped,
            tombstoned=outcome.tombstoned,
            unchanged=outcome.unchanged,
            settled=outcome.settled,
            moved_to_id=outcome.moved_to_id,
            dependent_failures=tuple(map(FailureReport.of, outcome.dependent_failures)),
            dependents_stale_skipped=outcome.dependents_stale_skipped,
            failure=FailureReport.of(outcome.failure) if outcome.failure else None,
            warnings=outcome.warnings,
            regenerated_document_ids=outcome.regenerated_document_ids,
            embedded_document_ids=outcome.embedded_document_ids,
        )

    @property
    def row_word(self) -> str:
        """What became of the entity's row, as tables show it."""
        if self.ingested:
            return "written"
        if self.stale_skipped:
            return "already newer"
        if self.tombstoned:
            return "tombstoned"
        return "not written" if self.fetched else "not fetched"

    @property
    def dependents_word(self) -> str:
        """What became of its dependents, as tables show it."""
        if not (self.ingested or self.stale_skipped):
            return "-"
        if self.unchanged:
            return "unchanged"
        failed, newer = len(self.dependent_failures), len(self.dependents_stale_skipped)
        words = [f"{failed} failed"] if failed else []
        return ", ".join([*words, f"{newer} already newer"] if newer else words) or "ok"


class RunError(BaseModel):
    """Why a whole run ended without success."""

    model_config = ConfigDict(frozen=True)

    code: FailureCode
    message: str
    hint: str


class SyncResult(BaseModel):
    """The document that ``sync --json`` and ``runs show --json`` print; its JSON Schema stands in docs/."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    run_id: str
    parent_run_id: str | None
    mode: str
    trigger: str
    completion_status: str = Field(
        description="queued, running, succeeded, succeeded_with_warnings, failed or cancelled"
    )
    phase: str
    scope: str
    project: ProjectRef
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    duration_ms: int | None
    warnings_count: int
    counters: Counters
    lock: LockStats
    http: HttpStats
    entity_outcomes: tuple[EntityReport, ...]
    entity_failures: tuple[EntityFailureReport, ...]
    error: RunError | None


def count_warnings(outcomes: Iterable[EntityOutcome]) -> int:
    """Warnings of a run: each failed entity, each failed dependent and each warning of an entity counts one."""
    return sum(
        (outcome.failure is not None) + len(outcome.dependent_failures) + len(outcome.warnings)
        for outcome in outcomes
    )


def outcome_of(failed: EntityFailure) -> EntityOutcome:
    """The outcome of an entity that was not even fetched."""
    return EntityOutcome(entity_type=failed.entity_type, iid=failed.iid, failure=failed.failure)


def failures_of(outcome: EntityOutcome) -> tuple[EntityFailure, ...]:
    """All failures of one entity, its own first."""
    own = (outcome.failure,) if outcome.failure else ()
    return tuple(
        EntityFailure(entity_type=outcome.entity_type, iid=outcome.iid, failure=failure)
        for failure in own + outcome.dependent_failures
    )
