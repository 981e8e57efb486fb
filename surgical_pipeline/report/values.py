"""What a report says, as values: the page shows them, and `report --json` prints them.

A figure that is not known is None; the page says so in words.
"""

from typing import Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, computed_field

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.outcomes import HttpStats, LockStats, SyncResult
from surgical_pipeline.domain.scope import EntityType

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or is removed, not when one is added."""
T = TypeVar("T")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Listing(_Value, Generic[T]):
    """The first of ``total`` items."""

    items: tuple[T, ...]
    total: int

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own pattern
    @property
    def left_out(self) -> int:
        return max(0, self.total - len(self.items))


class Entity(_Value):
    """``url``: its page in GitLab; None if GitLab's address or the project's path is not known."""

    name: str
    entity_type: EntityType
    iid: int
    url: str | None


class Slot(_Value):
    """A part of the period. ``runs``: by status; ``seconds``: of runs that have ended, all together."""

    start: AwareDatetime
    runs: dict[str, int]
    entities: int
    documents: int
    embedded: int
    seconds: float
    requests: int
    rate_limited: int


class Spread(_Value):
    """How a length of time varies, in seconds. ``measured``: how many there were."""

    measured: int
    median: float
    p95: float
    longest: float


class TriggerCount(_Value):
    trigger: str
    runs: int
    entities: int


class Stage(_Value):
    """``seconds``: None for a stage that has not ended. Lock times in milliseconds, all windows together."""

    stage: str
    runs: int = 1
    started_at: AwareDatetime | None = None
    seconds: float | None
    requests: int
    lock_windows: int
    lock_wait_ms: float
    lock_held_ms: float


class Run(_Value):
    """``seconds``: from its first stage to its end; None if it has not ended, or never started."""

    run_id: str
    trigger: str
    mode: str
    status: str
    phase: str
    scope: str
    at: AwareDatetime
    seconds: float | None
    entities: int
    failed: int
    warnings: int
    requests: int
    lock: LockStats
    failure_code: FailureCode | None
    failure_message: str | None
    stages: tuple[Stage, ...]


class ProjectStates(_Value):
    """Entities of a project by what their last run of the period left of them.

    ``synced``: up to date; ``unchanged``: they were, and cost no further request; ``incomplete``: some of their
    dependents or documents are not; ``deleted``: GitLab no longer has them; ``pending``: the run has not ended.
    """

    project: str
    synced: int = 0
    unchanged: int = 0
    incomplete: int = 0
    failed: int = 0
    deleted: int = 0
    pending: int = 0

    @property
    def entities(self) -> int:
        return self.synced + self.unchanged + self.incomplete + self.failed + self.deleted + self.pending


class NotUpToDate(_Value):
    """``own``: the entity itself failed, not only something of it."""

    entity: Entity
    run_id: str
    at: AwareDatetime
    own: bool
    code: FailureCode
    stage: str
    dependent: str | None
    message: str


class FailureKind(_Value):
    """All failures of one code. ``runs_ended``: whole runs that it ended. ``example``: the latest of an entity."""

    code: FailureCode
    advice: str
    retryable: bool
    failures: int
    entities: int
    runs: int
    runs_ended: int
    example: Entity | None
    example_message: str | None


class SlowEntity(_Value):
    """``seconds``: the longest of the ``runs`` that had it alone. In a run of several its time is not recorded."""

    entity: Entity
    seconds: float
    runs: int


class OutOfTime(_Value):
    """``runs``: in how many its dependents ran out of time."""

    entity: Entity
    runs: int


class Lag(_Value):
    """``lag``: between which two moments; see `report.lags`."""

    lag: str
    spread: Spread


class DeadLetter(_Value):
    entity: Entity
    seq: int
    kind: str
    received_at: AwareDatetime
    attempts: int
    reason: str | None


class Events(_Value):
    """The inbox now, whatever the period."""

    pending: int
    done: int
    ignored: int
    dead: int
    oldest_pending_at: AwareDatetime | None


class Backlog(_Value):
    """``without_vector``: live documents that have no vector of their text by ``model``."""

    model: str
    documents: int
    without_vector: int


class Table(_Value):
    """``written``: in the period."""

    name: str
    rows: int
    written: int


class LedgerSize(_Value):
    """``file_bytes``: the file and its log; None if the ledger is no file."""

    location: str
    gitlab_url: str | None
    file_bytes: int | None
    tables: tuple[Table, ...]


class PeriodReport(_Value):
    """A report on all runs of a period."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["period"] = "period"
    made_at: AwareDatetime
    since: AwareDatetime
    until: AwareDatetime
    slot_seconds: int
    slots: tuple[Slot, ...]
    runs_by_status: dict[str, int]
    triggers: tuple[TriggerCount, ...]
    durations: Spread | None
    http: HttpStats
    lock: LockStats
    stages: tuple[Stage, ...]
    newest_runs: Listing[Run]
    projects: Listing[ProjectStates]
    states: ProjectStates
    not_up_to_date: Listing[NotUpToDate]
    failures: tuple[FailureKind, ...]
    slowest: tuple[SlowEntity, ...]
    out_of_time: tuple[OutOfTime, ...]
    lags: tuple[Lag, ...]
    events: Events
    dead_letters: Listing[DeadLetter]
    backlog: Backlog | None
    ledger: LedgerSize

    @property
    def runs(self) -> int:
        return sum(self.runs_by_status.values())


class RunReport(_Value):
    """A report on one run. ``result``: the document that `runs show --json` prints."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["run"] = "run"
    made_at: AwareDatetime
    run: Run
    result: SyncResult
    gitlab_url: str | None


Report = PeriodReport | RunReport
