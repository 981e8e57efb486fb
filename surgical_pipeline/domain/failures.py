"""Why something was not done: the closed list of failure codes, each with what to do about it."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from surgical_pipeline.domain.scope import EntityKey, EntityType


class FailureCode(StrEnum):
    """``retryable``: the same request may succeed later without anybody changing anything."""

    retryable: bool
    advice: str

    def __new__(cls, value: str, retryable: bool, advice: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.retryable = retryable
        member.advice = advice
        return member

    NOT_FOUND = (
        "NOT_FOUND",
        False,
        "GitLab has no such IID in this project, or the token may not see it. Check the IID and the token's role.",
    )
    FORBIDDEN = (
        "FORBIDDEN",
        False,
        "The token may not read this. Give it the scope read_api and its user at least the Reporter role.",
    )
    UNAUTHORIZED = (
        "UNAUTHORIZED",
        False,
        "GitLab refused the token. Set GITLAB_TOKEN to one that is valid and not expired.",
    )
    PROJECT_NOT_FOUND = (
        "PROJECT_NOT_FOUND",
        False,
        "GitLab knows no such project, or hides it from this token. Check the path and the token's membership.",
    )
    PROJECT_MISMATCH = (
        "PROJECT_MISMATCH",
        False,
        (
            "It is another GitLab than the ledger's, or it gave an entity of another project or IID, so nothing "
            "was written. Check GITLAB_URL and any proxy or cache before it. If GitLab has moved to another "
            "host, run `surgical-pipeline ledger rebase --gitlab URL`."
        ),
    )
    INVALID_PAYLOAD = (
        "INVALID_PAYLOAD",
        False,
        (
            "GitLab's answer was not what its API promises. Look at the URL in a browser: "
            "a login page or a proxy may be answering."
        ),
    )
    TIMEOUT = (
        "TIMEOUT",
        True,
        (
            "The time budget ran out. Retry, or raise the budget of the stage it names: preflight_budget_seconds, "
            "entity_timeout_seconds and dependents_budget_seconds, or embed_budget_seconds."
        ),
    )
    RATE_LIMITED = (
        "RATE_LIMITED",
        True,
        (
            "GitLab asked to slow down for longer than the budget allows. Retry later, or lower "
            "max_requests_in_flight (`sync --max-requests-in-flight`)."
        ),
    )
    SERVER_ERROR = ("SERVER_ERROR", True, "GitLab failed to answer several times. Retry later.")
    NETWORK_ERROR = (
        "NETWORK_ERROR",
        True,
        "GitLab could not be reached. Check GITLAB_URL, DNS, proxy and certificates, then retry.",
    )
    LOCK_TIMEOUT = (
        "LOCK_TIMEOUT",
        True,
        "Another process held the ledger for too long. Close DuckDB shells that have the file open, then retry.",
    )
    DOCUMENT_ERROR = (
        "DOCUMENT_ERROR",
        False,
        "The entity is stored but its document could not be made. Please report it with the entity's raw payload.",
    )
    EMBEDDER_ERROR = (
        "EMBEDDER_ERROR",
        True,
        "The documents have no vectors yet. Check the embedder with `surgical-pipeline doctor`, then retry.",
    )
    LEDGER_ERROR = (
        "LEDGER_ERROR",
        True,
        (
            "The ledger could not be read or written. Check disk space and the file's permissions; "
            "where it says damaged, run `surgical-pipeline ledger check`."
        ),
    )
    WORKER_LOST = ("WORKER_LOST", True, "The process that ran this is gone. Retry.")
    CANCELLED = ("CANCELLED", True, "Somebody cancelled the run before this was done. Retry when wanted.")
    INTERNAL_ERROR = (
        "INTERNAL_ERROR",
        False,
        "This is a defect of surgical-pipeline. Please report it with the run's log.",
    )


class Failure(BaseModel):
    """One thing that went wrong in a stage, for an entity, one dependent of it, or the whole run."""

    model_config = ConfigDict(frozen=True)

    code: FailureCode
    message: str
    stage: str = Field(description="The phase in which it happened: preflight, ingest, dependents, docs or embed.")
    dependent: str | None = Field(default=None, description="The dependent it concerns, such as discussions.")

    @property
    def retryable(self) -> bool:
        return self.code.retryable


class EntityFailure(BaseModel):
    """A failure of one entity: a row of ``entity_failures``."""

    model_config = ConfigDict(frozen=True)

    entity_type: EntityType
    iid: int
    failure: Failure

    @property
    def key(self) -> EntityKey:
        return EntityKey(self.entity_type, self.iid)


def none_usable(failures: Sequence[EntityFailure], *, stage: str) -> Failure:
    """The failure of a run in which every entity failed: the code that most of them have."""
    ((code, count), *_) = Counter(one.failure.code for one in failures).most_common()
    example = next(f"{one.key}: {one.failure.message}" for one in failures if one.failure.code is code)
    message = (
        f"none of the {len(failures)} requested entities could be brought up to date; "
        f"{count} of them for this reason, such as {example}"
    )
    return Failure(code=code, message=message, stage=stage)


class StageFailedError(Exception):
    """The whole run ends here: it can do nothing more for any entity.

    ``of_entities``: failures that are not yet in the ledger, of entities that have their own failure.
    """

    def __init__(self, failure: Failure, of_entities: Sequence[EntityFailure] = ()) -> None:
        self.failure = failure
        self.of_entities = of_entities
        super().__init__(f"{failure.code}: {failure.message}")
