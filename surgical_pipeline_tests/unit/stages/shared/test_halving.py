import asyncio
import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.gitlab.errors import (
    AnswerBrokeOffError,
    BudgetExceededError,
    CrossOriginError,
    ForbiddenError,
    GitLabError,
    InvalidPayloadError,
    NetworkError,
    NotFoundError,
    ProjectNotFoundError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
)
from surgical_pipeline.stages.shared.halving import MOST_IN_VAIN, Failed, in_halves, may_lie_in_one_record

DOWN = ServerError("GitLab answered 500", status=500)


class Server:
    """Fails every request that names a bad record."""

    def __init__(self, bad: set[int], *, answers: bool = True) -> None:
        self.bad, self.answers = bad, answers
        self.given: list[int] = []
        self.asked = self.probed = 0

    async def ask(self, iids: Sequence[int]) -> GitLabError | None:
        self.asked += 1
        if self.bad & set(iids):
            return DOWN
        self.given += iids
        return None

    async def is_answering(self) -> bool:
        self.probed += 1
        return self.answers

    @property
    def requests(self) -> int:
        return self.asked + self.probed

    def settle(self, batch: Sequence[int]) -> list[Failed]:
        return asyncio.run(in_halves(batch, DOWN, ask=self.ask, server_answers=self.is_answering))


def check(size: int, bad: set[int]) -> None:
    server = Server(bad)
    failed = server.settle(range(1, size + 1))
    assert sorted(itertools.chain.from_iterable(iids for iids, _ in failed)) == sorted(bad)
    assert all(len(iids) == 1 for iids, _ in failed)
    assert sorted(server.given) == sorted(set(range(1, size + 1)) - bad)
    assert server.requests <= 2 * math.log2(size) * len(bad)


@pytest.mark.parametrize("size", range(2, 10))
def test_any_bad_records_of_a_small_batch_fail_alone(size: int) -> None:
    for count in range(1, size + 1):
        for bad in itertools.combinations(range(1, size + 1), count):
            check(size, set(bad))


@pytest.mark.parametrize("size", [16, 31, 33, 64, 99, 100])
def test_one_bad_record_costs_at_most_twice_the_logarithm(size: int) -> None:
    for bad in range(1, size + 1):
        check(size, {bad})


@given(st.data())
def test_each_bad_record_of_any_batch_costs_at_most_twice_the_logarithm(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 100))
    bad = data.draw(st.sets(st.integers(1, size), min_size=1, max_size=size // 3 + 1))
    check(size, bad)


def test_a_reason_that_passed_loses_nothing() -> None:
    server = Server(set())
    assert server.settle(range(1, 101)) == []
    assert sorted(server.given) == list(range(1, 101))
    assert server.requests <= 2 * math.log2(100)


def test_a_server_that_fails_everything_is_asked_three_times() -> None:
    server = Server(set(range(1, 101)), answers=False)
    failed = server.settle(range(1, 101))
    assert [len(iids) for iids, _ in failed] == [50, 50]
    assert server.requests == 3


def test_where_nothing_comes_though_the_server_answers_it_gives_up_in_time() -> None:
    server = Server(set(range(1, 101)))
    failed = server.settle(range(1, 101))
    assert sorted(itertools.chain.from_iterable(iids for iids, _ in failed)) == list(range(1, 101))
    assert server.asked == MOST_IN_VAIN
    assert server.requests < 100 / 2


@pytest.mark.parametrize(
    ("error", "halved"),
    [
        (ServerError("500", status=500), True),
        (AnswerBrokeOffError("it hung up"), True),
        (InvalidPayloadError("no JSON", status=200), True),
        (InvalidPayloadError("too large", status=200), True),
        (InvalidPayloadError("not a list"), True),
        (InvalidPayloadError("bad request", status=400), False),
        (CrossOriginError("elsewhere"), False),
        (UnauthorizedError("401", status=401), False),
        (ForbiddenError("403", status=403), False),
        (NotFoundError("404", status=404), False),
        (ProjectNotFoundError("404", status=404), False),
        (RateLimitedError("429", status=429), False),
        (NetworkError("refused"), False),
        (BudgetExceededError("too late"), False),
    ],
)
def test_only_what_may_lie_in_one_record_is_asked_for_in_halves(error: GitLabError, halved: bool) -> None:
    server = Server(set())
    failed = asyncio.run(in_halves([1, 2], error, ask=server.ask, server_answers=server.is_answering))
    assert may_lie_in_one_record(error) is halved
    assert (failed == [], server.requests > 0) == (halved, halved)
