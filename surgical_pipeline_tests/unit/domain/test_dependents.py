import pickle

import pytest
from pydantic import TypeAdapter

from surgical_pipeline.domain.dependents import CODE_DEPENDENTS, CORE_DEPENDENTS, EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.scope import EntityType


@pytest.mark.parametrize(
    ("entity_type", "names"),
    [
        (
            EntityType.ISSUE,
            "discussions label_events state_events milestone_events links closed_by award_emoji",
        ),
        (
            EntityType.MERGE_REQUEST,
            (
                "discussions label_events state_events milestone_events "
                "commits diffs closes_issues approvals award_emoji"
            ),
        ),
    ],
)
def test_an_entity_has_the_dependents_that_gitlab_gives_it(entity_type: EntityType, names: str) -> None:
    assert [dependent.value for dependent in Dependent if entity_type in dependent.applies_to] == names.split()


@pytest.mark.parametrize("dependent", CORE_DEPENDENTS)
def test_the_core_is_of_both_entity_types(dependent: Dependent) -> None:
    assert dependent.applies_to == frozenset(EntityType)


def test_the_core_is_discussions_and_the_three_events() -> None:
    assert set(CORE_DEPENDENTS) == EVENT_DEPENDENTS | {Dependent.DISCUSSIONS}


def test_what_changes_with_the_head_alone_is_of_merge_requests() -> None:
    assert {kind for dependent in CODE_DEPENDENTS for kind in dependent.applies_to} == {EntityType.MERGE_REQUEST}


@pytest.mark.parametrize("dependent", Dependent)
def test_a_dependent_survives_its_text_and_a_pickle(dependent: Dependent) -> None:
    assert TypeAdapter(Dependent).validate_python(dependent.value) is dependent
    assert pickle.loads(pickle.dumps(dependent)) is dependent  # noqa: S301  our own bytes
