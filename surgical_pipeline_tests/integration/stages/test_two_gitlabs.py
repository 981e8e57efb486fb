"""Runs that meet another GitLab than the ledger's, and projects that were made anew."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from surgical_pipeline.domain.failures import FailureCode, StageFailedError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.search import Filters, count_searchable, list_projects, search
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.search.question import Question
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.stage_run import issue
from surgical_pipeline_tests.ledger_dump import content_of

pytestmark = pytest.mark.both_ledgers

STAGING = "https://staging.acme.example"
OURS = "https://gitlab.acme.example"


@pytest.fixture
def staging() -> Iterator[RunningSandbox]:
    """Restored from a backup: the same ids and times at another host."""
    with RunningSandbox(external_url=STAGING) as running:
        yield running


def test_of_two_gitlabs_at_once_the_first_to_write_has_a_new_ledger(
    start: Start, staging: RunningSandbox, ledger: Ledger, rows: Rows
) -> None:
    ours, theirs = start("acme/rocket#1"), start("acme/rocket#1", url=staging.url)
    of_ours, of_theirs = ours.preflight(), theirs.preflight()
    ours.ingest(of_ours)
    before = content_of(ledger)
    with pytest.raises(StageFailedError) as caught:
        theirs.ingest(of_theirs)
    failure = caught.value.failure
    assert failure.code is FailureCode.PROJECT_MISMATCH
    assert OURS in failure.message
    assert f"ledger rebase --gitlab {STAGING}" in failure.message
    assert content_of(ledger) == before
    assert rows("SELECT gitlab_url, run_id FROM ledger_gitlab") == [(OURS, "run-1")]


def test_a_known_project_that_was_created_at_another_time_is_refused_before_and_in_the_window(
    start: Start, sandbox: RunningSandbox, ledger: Ledger
) -> None:
    start("acme/rocket#1").up_to_ingest()
    before = content_of(ledger)
    run = start("acme/rocket#1")
    fetched = run.preflight()
    assert fetched.project.created_at is not None
    changed = replace(fetched.project, created_at=fetched.project.created_at.replace(year=2020))
    with pytest.raises(StageFailedError, match="PROJECT_MISMATCH"):
        run.ingest(replace(fetched, project=changed))
    sandbox.control.add_fault("/api/v4/projects/acme*", override={"created_at": "2020-01-05T08:00:00.000Z"})
    with pytest.raises(StageFailedError, match="PROJECT_MISMATCH"):
        start("acme/rocket#1").preflight()
    assert content_of(ledger) == before


def test_what_gitlab_does_not_tell_is_not_compared_and_kept_when_it_first_does(
    start: Start, sandbox: RunningSandbox, rows: Rows
) -> None:
    sandbox.control.add_fault("/api/v4/projects/acme*", times=1, override={"created_at": None, "web_url": None})
    start("acme/rocket#1").up_to_ingest()
    kept = "SELECT gitlab_url, created_at IS NOT NULL FROM projects LEFT JOIN ledger_gitlab ON TRUE"
    assert rows(kept) == [(None, False)]
    start("acme/rocket#1").up_to_ingest()
    assert rows(kept) == [(OURS, True)]


def test_preflight_takes_no_window_to_know_the_ledgers_gitlab(start: Start) -> None:
    start("acme/rocket#1").up_to_ingest()
    run = start("acme/rocket#1")
    assert run.recorder.belongs_to.gitlab_url == OURS
    assert run.windows_of(run.preflight) == 0


def test_a_project_made_anew_supersedes_the_older_one_whose_rows_stay(
    start: Start, sandbox: RunningSandbox, ledger: Ledger, rows: Rows
) -> None:
    start("acme/rocket#1+2").up_to_docs()
    kept = rows("SELECT document_id, title, deleted_at FROM documents ORDER BY document_id")
    new_id = sandbox.control.recreate_project()["id"]
    sandbox.control.create_issue(title="The booster, made anew")
    run = start("acme/rocket#1")
    run.up_to_docs()
    (warning,) = run.outcome(issue(1)).warnings
    assert "acme/rocket was project 4201 before" in warning.message
    assert f"is project {new_id} now" in warning.message
    of_both = rows("SELECT document_id, title, deleted_at FROM documents ORDER BY document_id")
    assert set(kept) < set(of_both)
    assert rows("SELECT DISTINCT entity, title FROM searchable_documents") == [
        ("acme/rocket#1", "The booster, made anew")
    ]
    with ledger.read() as tx:
        for text in ("acme/rocket#1", str(kept[0][1])):
            hits = search(tx, Question.of(text), vector=None, filters=Filters(), limit=50)
            assert {hit.project_id for hit in hits} <= {new_id}
        by_path = Filters(project_path="acme/rocket")
        assert len(search(tx, Question.of("booster anew"), vector=None, filters=by_path, limit=50)) == 1
        assert count_searchable(tx, "any")[0] == 1
        assert list_projects(tx) == ["acme/rocket"]


def test_a_run_tells_once_that_a_project_is_superseded(start: Start, sandbox: RunningSandbox) -> None:
    start("acme/rocket#1").up_to_ingest()
    sandbox.control.recreate_project()
    sandbox.control.create_issue(title="New")
    sandbox.control.create_issue(title="Newer")
    first, second = start("acme/rocket#1+2"), start("acme/rocket#1+2")
    first.up_to_ingest()
    second.up_to_ingest()
    assert [len(one.warnings) for one in first.recorder.outcomes()] == [1, 0]
    assert [len(one.warnings) for one in second.recorder.outcomes()] == [0, 0]


def test_a_run_that_goes_on_in_dependents_asks_first_whether_it_is_still_the_same_gitlab(
    start: Start, sandbox: RunningSandbox, staging: RunningSandbox, ledger: Ledger
) -> None:
    sources = start("acme/rocket#1").up_to_ingest()
    before = content_of(ledger)
    again = start("acme/rocket#1", url=staging.url)
    with pytest.raises(StageFailedError, match="PROJECT_MISMATCH"):
        again.dependents(sources, belongs_to=again.recorder.belongs_to)
    assert content_of(ledger) == before
    here = start("acme/rocket#1")
    sandbox.control.clear_requests()
    here.dependents(sources, belongs_to=here.recorder.belongs_to)
    assert sandbox.control.requests().requests[0].path == "/api/v4/projects/4201"
    assert content_of(ledger) != before
