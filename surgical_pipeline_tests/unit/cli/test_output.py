import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from surgical_pipeline.cli.actions.finding import Finding
from surgical_pipeline.cli.actions.search import ShownHit
from surgical_pipeline.cli.output import (
    EXIT_CODES,
    print_check,
    print_entities,
    print_findings,
    print_hits,
    print_runs,
    print_summary,
    shown_time,
    snippet_text,
)
from surgical_pipeline.cli.terminal import print_json
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
from surgical_pipeline.ledger.invariants import CheckReport, Violation
from surgical_pipeline.ledger.runs import RunSummary
from surgical_pipeline.ledger.search import SearchHit
from surgical_pipeline.search.snippets import Snippet
from surgical_pipeline_tests.unit.results import sync_result

Printed = Callable[[], str]
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MARKUP = "see [bold]this[/bold] and [/nothing] at http://[fe80::1]:80"
"""Rich would take the brackets for styles, and fail at a closing one that nothing opened."""


@pytest.fixture
def pipe(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What was printed into a pipe since it was asked last."""
    return lambda: capsys.readouterr().out


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(print_it: Callable[[], object], *, columns: int = 400, raw: bool = False) -> str:
    """What is printed on a terminal, without its colours and links unless it shall be ``raw``."""
    with pytest.MonkeyPatch.context() as patch:
        screen = Screen()
        patch.setattr(sys, "stdout", screen)
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "xterm-256color")
        print_it()
    return screen.getvalue() if raw else re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", screen.getvalue())


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
def test_every_status_can_be_shown(status: RunStatus, pipe: Printed) -> None:
    print_summary(result(status))
    assert f"{status} in 2.5 s, phase done, run a-run\n" in pipe()


def test_the_summary_tells_documents_lock_and_requests() -> None:
    text = on_terminal(lambda: print_summary(result(RunStatus.SUCCEEDED)))
    assert "documents: 3 written, 4 unchanged; embedded: 2, reused: 1" in text
    assert "lock: 5 windows, waited 6 ms, held 70 ms (longest 33 ms); HTTP: 11 requests, 2 retries" in text


def test_the_error_of_a_failed_run_is_shown_as_it_is_with_what_to_do(pipe: Printed) -> None:
    error = RunError(code=FailureCode.SERVER_ERROR, message=MARKUP, hint="Retry [later].")
    failed = result(RunStatus.FAILED, error=error)
    print_summary(failed)
    for text in (pipe(), on_terminal(lambda: print_summary(failed))):
        assert f"SERVER_ERROR: {MARKUP}\nRetry [later].\n" in text


def entities(*outcomes: EntityReport) -> None:
    print_entities(outcomes, project="acme/rocket", gitlab_url="https://gitlab.test")


def test_failures_of_an_entity_and_its_dependents_are_shown_as_they_are() -> None:
    one = report(failure=failure(MARKUP), dependent_failures=(failure("x", dependent="[b]links"),))
    text = on_terminal(lambda: entities(one))
    assert f"NOT_FOUND {MARKUP}" in text
    assert "NOT_FOUND ([b]links) x" in text


def test_all_failures_of_an_entity_stand_in_its_one_row_into_a_pipe(pipe: Printed) -> None:
    entities(report(failure=failure("a\nb\tc"), dependent_failures=(failure("x", dependent="links"),)))
    assert pipe() == "acme/rocket#12\tnot fetched\t-\t0\t0\tNOT_FOUND a b c; NOT_FOUND (links) x\n"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fetched": True, "ingested": True}, ["written", "ok"]),
        ({"fetched": True, "stale_skipped": True}, ["already newer", "ok"]),
        ({"tombstoned": True}, ["tombstoned", "-"]),
        ({}, ["not fetched", "-"]),
        ({"fetched": True, "ingested": True, "dependent_failures": (failure(),)}, ["written", "1 failed"]),
    ],
)
def test_what_became_of_an_entity_is_told_in_words(
    values: dict[str, object], words: list[str], pipe: Printed
) -> None:
    entities(report(**values))
    assert pipe().split("\t")[1:3] == words


LINK = "https://gitlab.test/x?a=[bold]&b=[/b]"


def test_titles_and_links_of_hits_are_shown_as_they_are() -> None:
    text = on_terminal(lambda: print_hits([shown(MARKUP, title=MARKUP, web_url=LINK)]))
    assert text.count(MARKUP) == 2
    assert LINK in text
    assert "acme/rocket#12" in text
    assert "0.500" in text


def test_a_hit_is_one_line_into_a_pipe_with_its_link_whole(pipe: Printed) -> None:
    link = "https://gitlab.test/" + "long/" * 60
    print_hits([shown(MARKUP, title=f"{MARKUP}\n{'wide ' * 60}", web_url=link), shown("snippet")])
    first, second = [line.split("\t") for line in pipe().splitlines()]
    assert first == ["0.500", "acme/rocket#12", f"{MARKUP} {'wide ' * 60}", MARKUP, link]
    assert second == ["0.500", "acme/rocket#12", "Engine", "snippet", ""]


def test_links_of_ours_can_be_clicked_on_a_terminal_also_where_they_wrap_and_no_others() -> None:
    link = f"https://gitlab.test/{'long/' * 40}acme/rocket/-/issues/12"

    def print_both() -> None:
        print_hits([shown("snippet", web_url=link), shown("snippet", web_url="https://evil.test/12")])
        entities(report(ingested=True))

    text = on_terminal(print_both, columns=80, raw=True)
    assert text.count(f";{link}\x1b\\") > 2
    assert ";https://evil.test" not in text
    assert ";https://gitlab.test/acme/rocket/-/issues/12\x1b\\acme/rocket#12" in text


def test_only_the_words_of_the_question_stand_out_in_a_snippet() -> None:
    text = snippet_text(Snippet("the \x1bvalve opens late", ((5, 10), (17, 21))))
    assert text.plain == r"the \x1bvalve opens late"
    bold = [text.plain[span.start : span.end] for span in text.spans if span.style == "bold"]
    assert bold == ["valve", "late"]


def test_runs_are_shown_by_the_beginning_of_their_id_on_a_terminal() -> None:
    runs = [summary(), summary(scope="[bold]#1", status=RunStatus.QUEUED, started_at=None)]
    text = on_terminal(lambda: print_runs(runs))
    header, *_ = text.splitlines()
    assert header.split() == ["run", "started", "status", "phase", "trigger", "scope", "warnings", "failure"]
    assert "01234567 " in text
    assert "UNAUTHORIZED" in text
    assert "[bold]#1" in text


def test_runs_on_a_narrow_terminal_keep_their_scope_and_failure() -> None:
    text = on_terminal(lambda: print_runs([summary(phase=Phase.DEPENDENTS)]), columns=80)
    header, *rows = text.splitlines()
    assert header.split() == ["run", "started", "status", "phase", "scope"]
    assert "acme/rocket#12" in rows[0]
    assert "UNAUTHORIZED" in rows[1]
    assert max(map(len, rows)) <= 80


def test_runs_are_shown_by_their_whole_id_into_a_pipe(pipe: Printed) -> None:
    print_runs([summary()])
    assert pipe() == (
        "0123456789\t2026-05-04T12:00:00Z\tfailed\tpreflight\tcli\tacme/rocket#12\t0\tUNAUTHORIZED\n"
    )


def test_nothing_is_a_sentence_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert (on_terminal(lambda: print_runs([])), capsys.readouterr().err) == ("No runs.\n", "")


def test_nothing_is_no_row_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([])
    assert tuple(capsys.readouterr()) == ("", "No runs.\n")


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local zone of this process."""

    def change(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


def test_a_moment_on_a_terminal_names_its_zone(zone: Callable[[str], None]) -> None:
    assert shown_time(None) == ""
    for name, text in (
        ("CET-1CEST,M3.5.0,M10.5.0", "2026-05-04 14:00:00 CEST"),
        ("UTC0", "2026-05-04 12:00:00 UTC"),
    ):
        zone(name)
        assert text in on_terminal(lambda: print_runs([summary()]))


def test_a_broken_rule_of_the_ledger_is_a_row_with_its_places(pipe: Printed) -> None:
    broken = Violation(invariant="keys_unique", meaning="no key twice", count=2, examples=("a\x1b", "b\nc"))
    checked = {"keys_unique": "no key twice", "other": "…"}
    print_check(CheckReport(schema_version=3, rows={"notes": 5}, checked=checked, violations=(broken,)))
    assert pipe().splitlines() == [
        r"keys_unique" + "\t2\t" + r"no key twice; a\x1b; b c",
        "5 rows in 1 tables read, schema version 3; 1 of 2 rules kept",
    ]


def test_a_warning_of_doctor_is_neither_ok_nor_a_failure(pipe: Printed) -> None:
    print_findings(
        [
            Finding(check="ledger", ok=True, found="there"),
            Finding(check="filesystem", ok=True, found="nfs4", what_to_do="Move it."),
            Finding(check="token", ok=False, found="none", what_to_do="Make one."),
        ]
    )
    assert pipe() == "ok\tledger\tthere\t\nwarn\tfilesystem\tnfs4\tMove it.\nFAIL\ttoken\tnone\tMake one.\n"


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
