import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from surgical_pipeline.cli.actions.search import ShownHit
from surgical_pipeline.cli.output import (
    EXIT_CODES,
    entity_table,
    hits_table,
    local_time,
    print_json,
    print_summary,
    runs_table,
    snippet_text,
)
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import (
    Counters,
    EntityOutcome,
    EntityReport,
    HttpStats,
    LockStats,
    RunError,
    SyncResult,
)
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.ledger.runs import RunSummary
from surgical_pipeline.ledger.search import SearchHit
from surgical_pipeline.search.snippets import Snippet
from surgical_pipeline_tests.unit.results import sync_result

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MARKUP = "see [bold]this[/bold] and [/nothing] at http://[fe80::1]:80"
"""Rich would take the brackets for styles, and fail at a closing one that nothing opened."""


def printed(print_on: Callable[[Console], object]) -> str:
    console = Console(file=StringIO(), width=400, highlight=False)
    print_on(console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def rendered(table: RenderableType) -> str:
    return printed(lambda console: console.print(table))


def failure(message: str = "no such IID", *, dependent: str | None = None) -> Failure:
    return Failure(code=FailureCode.NOT_FOUND, message=message, stage="preflight", dependent=dependent)


def report(**values: object) -> EntityReport:
    outcome = EntityOutcome(entity_type=EntityType.ISSUE, iid=12).model_copy(update=values)
    return EntityReport.of(outcome, "acme/rocket")


def result(status: RunStatus, *, error: RunError | None = None) -> SyncResult:
    return sync_result(
        completion_status=status,
        started_at=NOON,
        finished_at=NOON + timedelta(seconds=2.5),
        duration_ms=2500,
        counters=Counters(
            documents_regenerated=3, documents_unchanged=4, documents_embedded=2, documents_reused=1
        ),
        lock=LockStats(windows=5, wait_ms=6, held_ms=70, longest_held_ms=33),
        http=HttpStats(requests=11, retries=2),
        error=error,
    )


def hit(**values: object) -> SearchHit:
    usual: dict[str, Any] = {
        "document_id": "issue:7:12",
        "kind": "issue",
        "project_path": "acme/rocket",
        "project_id": 7,
        "entity_type": EntityType.ISSUE,
        "iid": 12,
        "discussion_id": None,
        "title": "Engine",
        "content": "text",
        "web_url": None,
        "state": "opened",
        "labels": ("bug",),
        "author": "ada",
        "confidential": False,
        "internal": False,
        "updated_at": NOON,
        "score": 0.5,
        "found_by": {"words": 1},
        "cosine": None,
        "chunk_index": None,
        "current": True,
    }
    return SearchHit(**{**usual, **values})


def shown(text: str = "", *highlights: tuple[int, int], **values: object) -> ShownHit:
    return ShownHit(hit(**values), Snippet(text, highlights))


def summary(**values: object) -> RunSummary:
    usual: dict[str, object] = dict.fromkeys(RunSummary.model_fields)
    usual |= {
        "run_id": "0123456789",
        "mode": RunMode.SURGICAL,
        "trigger": Trigger.CLI,
        "status": RunStatus.FAILED,
        "phase": Phase.PREFLIGHT,
        "scope": "acme/rocket#12",
        "project_path": "acme/rocket",
        "started_at": NOON,
        "requested": 1,
        "failed": 1,
        "warnings_count": 0,
        "failure_code": FailureCode.UNAUTHORIZED,
    }
    return RunSummary.model_validate(usual | values)


def test_each_ending_has_an_exit_code_of_its_own() -> None:
    assert {status for status in RunStatus if status.terminal} == set(EXIT_CODES)
    assert EXIT_CODES == {
        RunStatus.SUCCEEDED: 0,
        RunStatus.SUCCEEDED_WITH_WARNINGS: 3,
        RunStatus.FAILED: 1,
        RunStatus.CANCELLED: 130,
    }


@pytest.mark.parametrize("status", RunStatus)
def test_every_status_can_be_shown(status: RunStatus) -> None:
    assert f"{status} in 2.5 s, phase done, run a-run" in printed(
        lambda console: print_summary(result(status), console)
    )


def test_the_summary_tells_documents_lock_and_requests() -> None:
    text = printed(lambda console: print_summary(result(RunStatus.SUCCEEDED), console))
    assert "documents: 3 written, 4 unchanged; embedded: 2, reused: 1" in text
    assert "lock: 5 windows, waited 6 ms, held 70 ms (longest 33 ms); HTTP: 11 requests, 2 retries" in text


def test_the_error_of_a_failed_run_is_shown_as_it_is_with_what_to_do() -> None:
    error = RunError(code=FailureCode.SERVER_ERROR, message=MARKUP, hint="Retry [later].")
    text = printed(lambda console: print_summary(result(RunStatus.FAILED, error=error), console))
    assert f"SERVER_ERROR: {MARKUP}\nRetry [later].\n" in text


def test_failures_of_an_entity_and_its_dependents_are_shown_as_they_are() -> None:
    text = rendered(
        entity_table([report(failure=failure(MARKUP), dependent_failures=(failure("x", dependent="[b]links"),))])
    )
    assert f"NOT_FOUND {MARKUP}" in text
    assert "NOT_FOUND ([b]links) x" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fetched": True, "ingested": True}, ["written", "ok"]),
        ({"fetched": True, "stale_skipped": True}, ["already", "newer", "ok"]),
        ({"tombstoned": True}, ["tombstoned", "-"]),
        ({}, ["not", "fetched", "-"]),
        ({"fetched": True, "ingested": True, "dependent_failures": (failure(),)}, ["written", "1", "failed"]),
    ],
)
def test_what_became_of_an_entity_is_told_in_words(values: dict[str, object], words: list[str]) -> None:
    _, line, *_ = rendered(entity_table([report(**values)])).splitlines()
    assert line.split()[1 : 1 + len(words)] == words


def test_titles_and_links_of_hits_are_shown_as_they_are() -> None:
    link = "https://gitlab.test/x?a=[bold]&b=[/b]"
    text = rendered(hits_table([shown(MARKUP, title=MARKUP, web_url=link)]))
    assert text.count(MARKUP) == 2
    assert link in text
    assert "acme/rocket#12" in text
    assert "0.500" in text


def test_a_link_that_wraps_is_one_link_in_a_terminal() -> None:
    link = "https://gitlab.test/" + "long/" * 40
    screen = StringIO()
    terminal = Console(file=screen, width=80, force_terminal=True)
    terminal.print(hits_table([shown("snippet", web_url=link), shown("snippet", web_url=None)]))
    assert screen.getvalue().count(f";{link}\x1b\\") > 1


def test_only_the_words_of_the_question_stand_out_in_a_snippet() -> None:
    text = snippet_text(Snippet("the valve opens late", ((4, 9), (16, 20))))
    bold = [text.plain[span.start : span.end] for span in text.spans if "bold not dim" in str(span.style)]
    assert bold == ["valve", "late"]


def test_runs_are_shown_by_the_beginning_of_their_id() -> None:
    text = rendered(runs_table([summary(), summary(scope="[bold]#1", status=RunStatus.QUEUED, started_at=None)]))
    assert "01234567 " in text
    assert "UNAUTHORIZED" in text
    assert "[bold]#1" in text


def test_a_moment_is_shown_in_local_time_and_a_missing_one_as_nothing() -> None:
    assert local_time(None) == ""
    assert local_time(NOON) == NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def test_json_is_one_document_in_utf_8_with_moments_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([hit(title="Fußnote 🚀"), summary()])
    text = capsys.readouterr().out
    first, second = json.loads(text)
    assert "Fußnote 🚀" in text
    assert first["updated_at"] == second["started_at"] == "2026-05-04T12:00:00Z"
    assert first["labels"] == ["bug"]


def test_a_result_prints_as_the_document_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    document = result(RunStatus.SUCCEEDED)
    print_json(document)
    assert SyncResult.model_validate_json(capsys.readouterr().out) == document
