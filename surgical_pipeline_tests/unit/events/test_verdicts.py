import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.events.verdicts import UNKNOWN_ATTEMPTS, Pending, Stored, Verdict, judge
from surgical_pipeline_tests.unit.events.inbox import at

BROKEN = Failure(code=FailureCode.SERVER_ERROR, message="GitLab answered 500.", stage="preflight")
MISSING = Failure(code=FailureCode.NOT_FOUND, message="no such IID", stage="preflight")
LATE = Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent="discussions")
UNSIGNED = Pending("a", 5, at(0))
SIGNED = Pending("a", 5, at(900), sent_at=at(0))
UNKNOWN = Stored(known=False, fetched_at=None)


def outcome(**values: object) -> EntityOutcome:
    return EntityOutcome.model_validate({"entity_type": EntityType.ISSUE, "iid": 1, **values})


def fetched(seconds: float) -> Stored:
    return Stored(known=True, fetched_at=at(seconds))


GOOD = outcome(fetched=True, ingested=True)
OLDER = outcome(fetched=True, stale_skipped=True)


@pytest.mark.parametrize("event", [UNSIGNED, SIGNED])
def test_an_event_is_done_by_the_run_that_it_caused_whatever_the_clocks_say(event: Pending) -> None:
    assert judge(event, GOOD, stored=fetched(-9999), taken=True) == Verdict("a", "done", 0)


@pytest.mark.parametrize(
    ("event", "seconds", "done"),
    [(UNSIGNED, 59, False), (UNSIGNED, 60, True), (SIGNED, 1.9, False), (SIGNED, 2, True)],
)
def test_another_run_settles_it_where_its_fetch_surely_began_later(
    event: Pending, seconds: float, done: bool
) -> None:
    expected = Verdict("a", "done", 0) if done else None
    assert judge(event, GOOD, stored=fetched(seconds), taken=False) == expected


def test_another_run_that_did_not_fetch_all_dependents_settles_nothing() -> None:
    assert judge(UNSIGNED, GOOD, stored=Stored(known=True, fetched_at=None), taken=False) is None


@pytest.mark.parametrize("taken", [True, False])
def test_an_older_answer_settles_it_where_what_is_stored_is_new_enough(taken: bool) -> None:
    assert judge(SIGNED, OLDER, stored=fetched(2), taken=taken) == Verdict("a", "done", 0)


def test_an_older_answer_beside_an_old_row_is_an_attempt() -> None:
    found = judge(SIGNED, OLDER, stored=fetched(1), taken=True)
    assert found == Verdict("a", "pending", 1, "GitLab answered with an older state than the ledger has")


@pytest.mark.parametrize(("seconds", "done"), [(1, False), (69, False), (70, True)])
def test_a_replica_that_had_not_heard_of_the_change_settles_nothing_until_none_can_lag_so_far(
    seconds: float, done: bool
) -> None:
    event = Pending("a", 5, at(12), sent_at=at(12), updated_at=at(10))
    stored = Stored(known=True, fetched_at=at(seconds), updated_at=at(3))
    found = judge(event, GOOD, stored=stored, taken=True)
    assert found is not None
    assert (found.state, found.attempts) == (("done", 0) if done else ("pending", 1))


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (outcome(failure=BROKEN), "SERVER_ERROR: GitLab answered 500."),
        (outcome(fetched=True, ingested=True, failure=BROKEN), "SERVER_ERROR: GitLab answered 500."),
        (outcome(fetched=True, ingested=True, dependent_failures=(LATE,)), "TIMEOUT: too slow"),
    ],
)
def test_a_failure_is_an_attempt_and_says_why(what: EntityOutcome, reason: str) -> None:
    assert judge(UNSIGNED, what, stored=fetched(9999), taken=True) == Verdict("a", "pending", 1, reason)
    assert judge(UNSIGNED, what, stored=fetched(9999), taken=False) is None


def test_the_fifth_attempt_makes_a_dead_letter() -> None:
    tried = Pending("a", 5, at(0), attempts=4)
    found = judge(tried, outcome(failure=BROKEN), stored=fetched(9999), taken=True)
    assert found == Verdict("a", "dead", 5, "SERVER_ERROR: GitLab answered 500.")


def test_what_gitlab_has_no_more_is_done_once_the_ledger_says_so() -> None:
    gone = outcome(failure=MISSING, tombstoned=True)
    assert judge(UNSIGNED, gone, stored=fetched(-9), taken=True) == Verdict("a", "done", 0)
    missed_once = outcome(failure=MISSING)
    assert judge(UNSIGNED, missed_once, stored=fetched(-9), taken=True) == Verdict(
        "a", "pending", 1, "NOT_FOUND: no such IID"
    )


def test_what_gitlab_never_gives_is_ignored_after_replicas_had_time() -> None:
    missing = outcome(failure=MISSING)
    for attempts in range(UNKNOWN_ATTEMPTS - 1):
        found = judge(Pending("a", 5, at(0), attempts=attempts), missing, stored=UNKNOWN, taken=True)
        assert found is not None
        assert found.state == "pending"
    last = judge(Pending("a", 5, at(0), attempts=UNKNOWN_ATTEMPTS - 1), missing, stored=UNKNOWN, taken=True)
    assert last is not None
    assert (last.state, last.reason) == (
        "ignored",
        "GitLab's API does not give it, and the ledger never had it",
    )
    assert judge(UNSIGNED, missing, stored=UNKNOWN, taken=False) is None
