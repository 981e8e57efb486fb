import itertools

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import STAGES, TRANSITIONS, Phase, RunStatus, conclude, may_change
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityType

NOT_FOUND = Failure(code=FailureCode.NOT_FOUND, message="gone", stage="preflight")
TIMEOUT = Failure(code=FailureCode.TIMEOUT, message="20 s", stage="dependents", dependent="discussions")

INGESTED = EntityOutcome(entity_type=EntityType.ISSUE, iid=1, fetched=True, ingested=True)
STALE = EntityOutcome(entity_type=EntityType.ISSUE, iid=2, fetched=True, stale_skipped=True)
HALF = EntityOutcome(
    entity_type=EntityType.ISSUE, iid=3, fetched=True, ingested=True, dependent_failures=(TIMEOUT,)
)
TOMBSTONED = EntityOutcome(entity_type=EntityType.ISSUE, iid=4, tombstoned=True, failure=NOT_FOUND)
MISSING = EntityOutcome(entity_type=EntityType.ISSUE, iid=5, failure=NOT_FOUND)
UNTOUCHED = EntityOutcome(entity_type=EntityType.ISSUE, iid=6)


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([], RunStatus.FAILED),
        ([INGESTED], RunStatus.SUCCEEDED),
        ([STALE], RunStatus.SUCCEEDED),
        ([INGESTED, STALE], RunStatus.SUCCEEDED),
        ([HALF], RunStatus.SUCCEEDED_WITH_WARNINGS),
        ([TOMBSTONED], RunStatus.SUCCEEDED_WITH_WARNINGS),
        ([INGESTED, MISSING], RunStatus.SUCCEEDED_WITH_WARNINGS),
        ([MISSING, STALE], RunStatus.SUCCEEDED_WITH_WARNINGS),
        ([MISSING], RunStatus.FAILED),
        ([UNTOUCHED], RunStatus.FAILED),
        ([MISSING, UNTOUCHED], RunStatus.FAILED),
    ],
)
def test_a_run_ends_as_its_outcomes_say(outcomes: list[EntityOutcome], status: RunStatus) -> None:
    assert conclude(outcomes) is status


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_order_of_outcomes_does_not_matter(size: int) -> None:
    for group in itertools.combinations([INGESTED, STALE, HALF, TOMBSTONED, MISSING], size):
        assert len({conclude(order) for order in itertools.permutations(group)}) == 1


def test_outcomes_may_come_from_a_generator() -> None:
    assert conclude(outcome for outcome in (INGESTED, MISSING)) is RunStatus.SUCCEEDED_WITH_WARNINGS


@pytest.mark.parametrize(("current", "new"), list(itertools.product(RunStatus, RunStatus)))
def test_only_the_published_changes_of_status_are_allowed(current: RunStatus, new: RunStatus) -> None:
    ends = {
        RunStatus.SUCCEEDED,
        RunStatus.SUCCEEDED_WITH_WARNINGS,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
    }
    allowed = {(RunStatus.QUEUED, RunStatus.RUNNING)}
    allowed |= {(RunStatus.QUEUED, RunStatus.FAILED), (RunStatus.QUEUED, RunStatus.CANCELLED)}
    allowed |= {(RunStatus.RUNNING, end) for end in ends}

    assert may_change(current, new) is ((current, new) in allowed)


@pytest.mark.parametrize("status", RunStatus)
def test_a_status_is_terminal_exactly_when_nothing_follows_it(status: RunStatus) -> None:
    assert status.terminal is (not TRANSITIONS[status])


def test_the_stages_are_five_in_their_order() -> None:
    assert [stage.value for stage in STAGES] == ["preflight", "ingest", "dependents", "docs", "embed"]


def test_the_phases_are_the_stages_between_queued_and_their_two_ends() -> None:
    assert tuple(Phase) == (Phase.QUEUED, *STAGES, Phase.DONE, Phase.CANCELLED)
