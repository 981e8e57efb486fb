from surgical_pipeline.domain.progress import UNWATCHED, Progress, Tally


class HandClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_known_before_the_first_phase() -> None:
    tally = Tally()
    tally.count(3)
    assert tally.now is None


def test_a_phase_counts_from_its_own_beginning() -> None:
    clock = HandClock()
    tally = Tally(clock)
    tally.begin("preflight", 10)
    tally.count(10, failed=2)
    clock.now += 5
    tally.begin("dependents", 8)
    tally.count(3, failed=1)
    clock.now += 2
    assert tally.now == Progress("dependents", 3, 8, failed=1, requests=0, seconds=2)


def test_a_phase_that_begins_again_goes_on() -> None:
    tally = Tally()
    tally.begin("dependents", 8)
    tally.count(8)
    tally.begin("dependents", 2)
    tally.count(1)
    now = tally.now
    assert now is not None
    assert (now.done, now.total) == (9, 10)


def test_requests_of_one_client_after_another_add_up() -> None:
    tally = Tally()
    tally.begin("preflight", 1)
    sent = [3]
    tally.watch_requests(lambda: sent[0])
    sent[0] = 5
    tally.watch_requests(None)
    sent[0] = 99
    tally.watch_requests(lambda: 4)
    assert tally.now is not None
    assert tally.now.requests == 9


def test_where_nobody_looks_nothing_is_kept() -> None:
    UNWATCHED.begin("docs", 5)
    UNWATCHED.count(5)
    UNWATCHED.watch_requests(lambda: 1)
    assert UNWATCHED.now is None
