"""What can go wrong between us and GitLab, by meaning; each error knows the failure code it is recorded under.

::

    GitLabError
    ├── UnauthorizedError      401: the token is refused                          UNAUTHORIZED
    ├── ForbiddenError         403: the token may not read this                   FORBIDDEN
    ├── NotFoundError          404: no such thing, or hidden from the token       NOT_FOUND
    │   └── ProjectNotFoundError   the project itself                             PROJECT_NOT_FOUND
    ├── RateLimitedError       429 for longer than the budget or the attempts     RATE_LIMITED
    ├── ServerError            408, 5xx, or a list that would not hold still      SERVER_ERROR
    ├── NetworkError           no connection, or no answer over it                NETWORK_ERROR
    │   └── AnswerBrokeOffError    it was connected, but no whole answer came         NETWORK_ERROR
    ├── BudgetExceededError    the caller's deadline passed                       TIMEOUT
    └── InvalidPayloadError    an answer that GitLab's API does not give          INVALID_PAYLOAD
        └── CrossOriginError       a Location that leads elsewhere                INVALID_PAYLOAD

No message holds the token, a query string or a payload's text: messages end up in logs and in the ledger.
"""

from typing import ClassVar

from surgical_pipeline.domain.failures import Failure, FailureCode


class GitLabError(Exception):
    """``reason`` is a sentence; ``path`` the requested URL path, without its query ("" if there was none).

    ``transient``: the retry policy may repeat the request. ``retry_after_seconds``: what GitLab asked us to wait.
    Callers branch on the class, never on the text.
    """

    code: ClassVar[FailureCode] = FailureCode.INTERNAL_ERROR

    def __init__(
        self,
        reason: str,
        *,
        path: str = "",
        status: int | None = None,
        transient: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.status = status
        self.transient = transient
        self.retry_after_seconds = retry_after_seconds

    @property
    def message(self) -> str:
        """What happened, and at which URL path."""
        return f"{self.reason} (GET {self.path})" if self.path else self.reason

    def __str__(self) -> str:
        return self.message

    def as_failure(self, stage: str, dependent: str | None = None) -> Failure:
        """The row of ``entity_failures``, or the reason of a failed run, that this error becomes."""
        return Failure(code=self.code, message=self.message, stage=stage, dependent=dependent)


class UnauthorizedError(GitLabError):
    code = FailureCode.UNAUTHORIZED


class ForbiddenError(GitLabError):
    code = FailureCode.FORBIDDEN


class NotFoundError(GitLabError):
    """GitLab answers 404 both for what does not exist and for what the token may not see."""

    code = FailureCode.NOT_FOUND


class ProjectNotFoundError(NotFoundError):
    code = FailureCode.PROJECT_NOT_FOUND


class RateLimitedError(GitLabError):
    code = FailureCode.RATE_LIMITED


class ServerError(GitLabError):
    code = FailureCode.SERVER_ERROR


class NetworkError(GitLabError):
    code = FailureCode.NETWORK_ERROR


class AnswerBrokeOffError(NetworkError):
    """The server closed the connection midway, or took longer than one attempt may."""


class BudgetExceededError(GitLabError):
    code = FailureCode.TIMEOUT


class InvalidPayloadError(GitLabError):
    code = FailureCode.INVALID_PAYLOAD


class CrossOriginError(InvalidPayloadError):
    """Following such an address would send the token to another server."""
