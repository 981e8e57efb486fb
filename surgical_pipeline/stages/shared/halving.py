"""Finding the few bad records of a batch: a batch that failed is asked for in halves, down to single records.

GitLab answers a whole list with 500 if it cannot serialize one of its records.
"""

from collections.abc import Awaitable, Callable, Sequence

from surgical_pipeline.gitlab.errors import (
    AnswerBrokeOffError,
    CrossOriginError,
    GitLabError,
    InvalidPayloadError,
    ServerError,
)

Ask = Callable[[Sequence[int]], Awaitable[GitLabError | None]]
Failed = tuple[Sequence[int], GitLabError]

MOST_IN_VAIN = 28
"""Four times the halvings that lead to one record of a hundred; more than all parts of a batch of ten."""

_OK = 200


def may_lie_in_one_record(error: GitLabError) -> bool:
    """Whether a part of the batch may succeed: after 5xx, or an answer that is broken, too large or too slow.

    Not after a refusal (401, 403, 404, another 4xx), a rate limit, a spent budget, or an unreachable server.
    """
    if isinstance(error, InvalidPayloadError):
        return not isinstance(error, CrossOriginError) and error.status in (None, _OK)
    return isinstance(error, ServerError | AnswerBrokeOffError)


async def in_halves(
    batch: Sequence[int], error: GitLabError, *, ask: Ask, server_answers: Callable[[], Awaitable[bool]]
) -> list[Failed]:
    """Ask for the parts of a batch that failed with ``error``; returns the parts that failed, each with its error.

    ``ask`` stores what it gets, or returns the error. A bad record costs at most
    ``2 * log2(len(batch))`` requests: if one half succeeds, the cause must be in the other, which is then
    not asked for as a whole.

    It gives up if the server itself is in trouble: both halves fail, and so does the cheap request of
    ``server_answers``; or the first ``MOST_IN_VAIN`` requests all fail.
    """
    halving = _Halving(ask, server_answers)
    await halving.settle(batch, error)
    return halving.failed


class _Halving:
    def __init__(self, ask: Ask, server_answers: Callable[[], Awaitable[bool]]) -> None:
        self._ask = ask
        self._server_answers = server_answers
        self._left_in_vain = MOST_IN_VAIN
        self._anything_came = False
        self._hopeless = False
        self.failed: list[Failed] = []

    async def settle(self, iids: Sequence[int], error: GitLabError) -> None:
        """These failed together."""
        if len(iids) == 1 or self._hopeless or not may_lie_in_one_record(error):
            self.failed.append((iids, error))
            return
        middle = len(iids) // 2  # The part that is certainly asked for is the smaller one.
        one, other = iids[:middle], iids[middle:]
        of_one = await self._asked(one)
        if of_one is None and len(other) > 1:
            await self.settle(other, error)
            return
        of_other = await self._asked(other)
        if of_one is not None and of_other is not None and not await self._server_answers():
            self._hopeless = True
        for half, of_half in ((one, of_one), (other, of_other)):
            if of_half is not None:
                await self.settle(half, of_half)

    async def _asked(self, iids: Sequence[int]) -> GitLabError | None:
        error = await self._ask(iids)
        self._anything_came = self._anything_came or error is None
        self._left_in_vain -= 1
        self._hopeless = self._hopeless or not (self._anything_came or self._left_in_vain)
        return error
