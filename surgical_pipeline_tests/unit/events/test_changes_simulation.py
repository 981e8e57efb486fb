"""Whatever moves while lists are read and whatever becomes of runs: nothing is missed."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.events.list_state import MAX_TRIES
from surgical_pipeline.events.poll_cursor import PollCursor
from surgical_pipeline_tests.unit.events.simulated import Polling, SimulatedGitLab, SimulatedLedger

IIDS = range(1, 30)
HALF = 0.5


def through_its_text(polling: Polling) -> None:
    """What the next tick gets is what a cursor kept."""
    cursor = PollCursor(states={b"same": {EntityType.ISSUE: polling.state}})
    polling.state = PollCursor.parse(str(cursor)).states[b"same"][EntityType.ISSUE]


def settle(polling: Polling, *, ticks: int = 3000) -> None:
    """Ticks without any further change, until nothing is outstanding any more."""
    shown_at = polling.gitlab.now + polling.gitlab.lag
    for _ in range(ticks):
        began = polling.state.started if polling.state.position else polling.gitlab.now
        turn = polling.tick()
        through_its_text(polling)
        if began > shown_at and turn.state.position is None and turn.state.since is None:
            return
    raise AssertionError(f"something stays outstanding: {polling.state}")


def trouble_of(gitlab: SimulatedGitLab, likely: float) -> Callable[[int, datetime], str]:
    """How runs go wrong, but for no version so often that it is given up."""
    random = gitlab.random
    failed: Counter[tuple[int, datetime]] = Counter()
    lost: Counter[datetime] = Counter()

    def go_wrong(iid: int, at: datetime) -> str:
        if random.random() >= likely:
            return "ok"
        version = (iid, gitlab.entities[iid])
        if random.random() < HALF and failed[version] < MAX_TRIES - 1:
            failed[version] += 1
            return "failed"
        lost[at] += 1
        return "lost" if lost[at] < MAX_TRIES else "ok"

    return go_wrong


@given(
    seed=st.integers(0, 2**32),
    page_size=st.integers(1, 5),
    max_pages=st.integers(2, 5),
    lag=st.sampled_from([0, 20, 60]),
    busy=st.floats(0, 1),
    trouble=st.floats(0, 0.6),
)
@example(seed=177, page_size=3, max_pages=3, lag=0, busy=0.203125, trouble=0.1875)  # rows of one time slide
@settings(max_examples=120, deadline=None)
def test_at_rest_the_ledger_has_what_gitlab_has(
    seed: int, page_size: int, max_pages: int, lag: int, busy: float, trouble: float
) -> None:
    random = Random(seed)
    gitlab = SimulatedGitLab(random, page_size, timedelta(seconds=lag))
    gitlab.change(*IIDS)
    ledger = SimulatedLedger(gitlab, trouble_of(gitlab, trouble))
    polling = Polling(gitlab, ledger, max_pages)

    def edit() -> None:
        gitlab.now += timedelta(milliseconds=random.choice([1, 300]))
        if random.random() < busy:
            gitlab.change(*random.sample(IIDS, random.choice([1, 1, 2, 12])))

    marks = []
    for _ in range(12):
        polling.tick(edit)
        through_its_text(polling)
        marks.append((polling.state.mark, polling.state.started))
    settle(polling)
    assert marks == sorted(marks)
    kept = {iid: ledger.stored.get(iid, (None,))[0] for iid in gitlab.entities}
    assert kept == gitlab.entities


@given(seed=st.integers(0, 2**32), page_size=st.integers(1, 5), busy=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_where_runs_succeed_every_version_that_a_list_shows_is_asked_for_once(
    seed: int, page_size: int, busy: float
) -> None:
    gitlab = SimulatedGitLab(Random(seed), page_size)
    ledger = SimulatedLedger(gitlab, takes=timedelta(seconds=5))
    polling = Polling(gitlab, ledger, max_pages=1000)
    for _ in range(20):
        if gitlab.random.random() < busy:
            gitlab.now += timedelta(milliseconds=1)
            gitlab.change(*gitlab.random.sample(IIDS, gitlab.random.choice([1, 2, 12])))
        polling.tick()
        through_its_text(polling)
    settle(polling)
    assert len(ledger.asked) == len(set(ledger.asked))
    assert {iid: at for iid, (at, _) in ledger.stored.items()} == gitlab.entities
