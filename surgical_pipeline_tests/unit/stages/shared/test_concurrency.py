import asyncio

import pytest

from surgical_pipeline.stages.shared.concurrency import run_each


class Work:
    """Jobs that go on until the test lets them; ``begun`` in the order they were taken."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.going = 0
        self.peak = 0
        self.let_go = asyncio.Event()

    async def one(self, job: int) -> None:
        self.begun.append(job)
        self.going += 1
        self.peak = max(self.peak, self.going)
        await self.let_go.wait()
        self.going -= 1
        if job < 0:
            raise LookupError(job)


def test_jobs_are_taken_in_order_and_so_many_at_once() -> None:
    async def many() -> Work:
        work = Work()
        everything = asyncio.create_task(run_each(range(10), work.one, at_once=3))
        while work.going < 3:  # noqa: ASYNC110  the condition is a state of the code under test
            await asyncio.sleep(0)
        assert work.begun == [0, 1, 2]
        work.let_go.set()
        await everything
        return work

    work = asyncio.run(many())
    assert (work.begun, work.peak, work.going) == (list(range(10)), 3, 0)


def test_the_first_error_ends_all_and_keeps_its_type() -> None:
    async def failing() -> None:
        work = Work()
        work.let_go.set()
        await run_each([1, -2, 3], work.one, at_once=2)

    with pytest.raises(LookupError):
        asyncio.run(failing())
