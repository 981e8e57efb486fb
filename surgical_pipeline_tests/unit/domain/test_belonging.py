from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from surgical_pipeline.domain.belonging import NOTHING_KNOWN, Belonging
from surgical_pipeline.domain.records import ProjectRecord

MADE = datetime(2026, 1, 5, 8, tzinfo=UTC)
HERE = "https://gitlab.example.com/git"
PROJECT = ProjectRecord(7, "acme/rocket", "{}", gitlab_url=HERE, created_at=MADE)
KNOWN = Belonging(HERE, {7: MADE})


@pytest.mark.parametrize(
    "project",
    [
        PROJECT,
        replace(PROJECT, gitlab_url="http://GitLab.example.com:80/git"),
        replace(PROJECT, created_at=MADE + timedelta(milliseconds=999)),
        replace(PROJECT, gitlab_url=None, created_at=None),
        replace(PROJECT, project_id=8, created_at=MADE + timedelta(days=1)),
    ],
    ids=["the same", "another scheme", "without milliseconds", "that tells nothing", "new"],
)
def test_a_project_of_the_ledgers_gitlab_is_welcome(project: ProjectRecord) -> None:
    assert KNOWN.objection(project) is None
    assert NOTHING_KNOWN.objection(project) is None


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://staging.example.com/git",
        "https://gitlab.example.com",
        "https://gitlab.example.com/other",
        "https://gitlab.example.com:8443/git",
    ],
)
def test_another_host_port_or_prefix_is_refused_with_both_and_the_way_out(elsewhere: str) -> None:
    objection = KNOWN.objection(replace(PROJECT, gitlab_url=elsewhere))
    assert objection is not None
    assert f"belongs to the GitLab at {HERE}," in objection
    assert f"`surgical-pipeline ledger rebase --gitlab {elsewhere}`" in objection


def test_a_known_id_that_was_created_at_another_time_is_another_gitlab_of_the_same_name() -> None:
    objection = KNOWN.objection(replace(PROJECT, created_at=MADE + timedelta(seconds=1)))
    assert objection is not None
    assert "2026-01-05 08:00:00 UTC" in objection
    assert "2026-01-05 08:00:01 UTC" in objection
    assert "SURGICAL_LEDGER" in objection
