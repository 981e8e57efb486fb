"""Search from the sandbox's GitLab to the terminal, as a person or an agent calls it."""

import json
import shlex
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from surgical_pipeline.cli.main import app
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder
from surgical_pipeline.ledger.copying import copy_ledger
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.postgres.rows import PostgresRows
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.search.question import MEANING, WORDS
from surgical_pipeline_tests.acceptance.search_quality import (
    ALL,
    FUSED,
    HELD_OUT_QUERIES,
    QUERIES,
    measure,
    sample_scope,
    table,
)
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_home import move_in, run_job
from surgical_pipeline_tests.ledger_dump import content_of
from surgical_pipeline_tests.postgres_server import PostgresServer

UNREACHABLE = {"SURGICAL_EMBEDDER": "http", "SURGICAL_EMBEDDER_URL": "http://127.0.0.1:9/v1"}


def called(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["search", *arguments])


def hits(*arguments: str) -> list[dict[str, Any]]:
    done = called(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def synced_home(
    tmp_path_factory: pytest.TempPathFactory, prepared_home: Path, running_sandbox: RunningSandbox
) -> Path:
    running_sandbox.control.reset()
    home = shutil.copytree(prepared_home, tmp_path_factory.mktemp("synced"), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        move_in(home, running_sandbox, monkeypatch=monkeypatch)
        result = run_job(DuckDBLedger(home / "ledger.duckdb"), "acme/rocket#12+13+46!34+35")
    assert result.completion_status == "succeeded"
    return home


@pytest.fixture
def synced(home: Path, ledger: DuckDBLedger, synced_home: Path) -> DuckDBLedger:
    """The issues 12, 13 and 46, of which the last is confidential, and the merge requests 34 and 35."""
    shutil.copytree(synced_home, home, dirs_exist_ok=True)
    return ledger


def test_fusing_finds_no_less_than_words_or_meaning_alone(sync: Sync, ledger: DuckDBLedger) -> None:
    scope, titles = sample_scope()
    assert sync(scope).completion_status == "succeeded"
    for queries in (QUERIES, HELD_OUT_QUERIES):
        figures = measure(ledger, WordLlamaEmbedder(), titles, queries=queries)
        fused = figures[FUSED][ALL]
        assert fused.questions >= 40
        for mode in (WORDS, MEANING):
            for kind in (ALL, "identifier", "error message"):
                assert figures[FUSED][kind].recall >= figures[mode][kind].recall, table(figures)
                assert figures[FUSED][kind].mrr >= figures[mode][kind].mrr, table(figures)


def test_what_is_found_in_postgresql_is_as_good(
    sync: Sync, ledger: DuckDBLedger, postgres: PostgresServer
) -> None:
    scope, titles = sample_scope()
    assert sync(scope).completion_status == "succeeded"
    with postgres.temporary() as database:
        copied = postgres.ledger(database)
        copy_ledger(DuckDBRows(ledger), PostgresRows(copied))
        for queries in (QUERIES, HELD_OUT_QUERIES):
            in_file = measure(ledger, WordLlamaEmbedder(), titles, queries=queries)
            there = measure(copied, WordLlamaEmbedder(), titles, queries=queries)
            for mode in (WORDS, MEANING, FUSED):
                told = f"{table(in_file)}\n{table(there)}"
                assert there[mode][ALL].recall >= in_file[mode][ALL].recall - 0.02, told
                assert there[mode][ALL].mrr >= in_file[mode][ALL].mrr - 0.02, told


def test_a_search_shows_entity_title_snippet_and_link_and_writes_nothing(synced: DuckDBLedger) -> None:
    before = synced.path.read_bytes(), content_of(synced.path, with_run_columns=True)
    shown = called("VALVE_NOT_CONFIRMED").stdout
    assert "acme/rocket#12" in shown
    assert "VALVE_NOT_CONFIRMED" in shown
    (first, *_) = hits("the valve confirmation came late")
    assert first["entity"] in ("acme/rocket#12", "acme/rocket!34")
    assert str(first["web_url"]).startswith("https://gitlab.acme.example/acme/rocket/-/")
    snippet = first["snippet"]
    assert isinstance(snippet, dict)
    marked = [snippet["text"][start:end].lower() for start, end in snippet["highlights"]]
    assert any(word.startswith(("valve", "confirm", "late")) for word in marked)
    assert (synced.path.read_bytes(), content_of(synced.path, with_run_columns=True)) == before


@pytest.mark.usefixtures("synced")
def test_every_documented_field_is_there_and_no_other() -> None:
    (hit,) = hits("#13", "-n", "1")
    documented = {line.split("`")[1] for line in MANUAL.splitlines() if line.startswith("| `hit.")}
    assert {f"hit.{name}" for name in hit} == documented
    assert (hit["entity"], hit["score"], hit["kind"]) == ("acme/rocket#13", 1.0, "issue")


@pytest.mark.usefixtures("synced")
def test_what_is_named_comes_first_and_confidential_things_only_when_asked_for() -> None:
    assert hits("!34 stale altitude")[0]["entity"] == "acme/rocket!34"
    assert "acme/rocket#46" not in {hit["entity"] for hit in hits("#46 replayed uplink frames", "-n", "99")}
    assert hits("#46", "--include-confidential")[0]["entity"] == "acme/rocket#46"
    assert not [hit for hit in hits("customer communication goes through Luc", "-n", "99") if hit["internal"]]


@pytest.mark.usefixtures("synced")
def test_filters_narrow_the_search() -> None:
    entities = {hit["entity"] for hit in hits("telemetry", "--label", "component::console", "-n", "99")}
    assert entities == {"acme/rocket#13", "acme/rocket!35"}
    assert {hit["entity"] for hit in hits("valve", "--state", "merged")} == {"acme/rocket!34"}
    assert hits("valve", "--since", "2099-01-01") == []
    assert {hit["kind"] for hit in hits("valve", "--kind", "discussion")} == {"discussion"}


@pytest.mark.usefixtures("synced")
def test_any_text_can_be_looked_for() -> None:
    signs = ("🚀", "%", "_", "'", '"', "\\", "((", "'; DROP TABLE documents; --", "[a-", "-- -n", "\0 \t")
    for text in (*signs, "the of and", "x" * 90_000, "E_1 " * 20_000, "字" * 20_000):
        assert called("--json", "--", text).exit_code == 0, text


@pytest.mark.usefixtures("synced")
def test_signs_are_found_where_they_stand_and_match_nothing_else() -> None:
    assert {hit["entity"] for hit in hits("🚀") if "words" in hit["found_by"]} == {"acme/rocket!34"}
    by_words = [hit for hit in hits("%", "-n", "99") if "words" in hit["found_by"]]
    assert by_words
    assert all("%" in f"{hit['title']}{hit['content']}" for hit in by_words)


@pytest.mark.usefixtures("synced")
def test_what_no_word_matches_never_scores_1() -> None:
    found = hits("qwertzuiop")
    assert {tuple(hit["found_by"]) for hit in found} == {("meaning",)}
    assert all(hit["score"] < 0.5 for hit in found)


@pytest.mark.usefixtures("synced")
def test_a_message_is_found_as_it_was_pasted() -> None:
    first, *_ = hits("error: valve FV-2: confirmation outside window (9999 ms > 500 ms)")
    assert (first["entity"], first["kind"]) == ("acme/rocket#12", "issue")
    assert first["found_by"]["exact"] == 1


@pytest.mark.usefixtures("synced")
def test_since_is_a_day_or_a_moment_such_as_a_hit_shows() -> None:
    for since in ("2026-01-01", "2026-01-01T00:00", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00.5+02:00"):
        assert hits("valve", "--since", since), since
    (hit,) = hits("#13", "-n", "1")
    since_then = hits("altitude", "--since", str(hit["updated_at"]), "-n", "99")
    assert "acme/rocket#13" in {one["entity"] for one in since_then}


@pytest.mark.usefixtures("synced")
def test_a_project_that_the_ledger_does_not_have_is_told() -> None:
    done = called("valve", "--project", "acme")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "Note: the ledger has no project 'acme', only acme/rocket\nNothing found.\n"


@pytest.mark.usefixtures("synced")
def test_an_embedder_whose_extra_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # as if it were not installed
    monkeypatch.setenv("SURGICAL_EMBEDDER", "minilm")
    for arguments in (["valve"], ["valve", "--vector-only"]):
        done = called(*arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "pip install surgical-pipeline[minilm]" in done.stderr


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["  "], "there is nothing to look for"),
        (["valve", "--state", "happy"], "unknown state 'happy': choose of opened, closed"),
        (["valve", "-n", "0"], "--limit"),
        (["valve", "-n", "1001"], "--limit"),
        (["valve", "--since", "yesterday"], "--since 'yesterday' is no date: write 2026-05-01"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(arguments: list[str], sentence: str) -> None:
    done = called(*arguments, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr


@pytest.fixture
def dead_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (UNREACHABLE | {"SURGICAL_EMBEDDER_MODEL": "gone"}).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("synced", "dead_embedder")
def test_with_a_dead_embedder_the_search_is_by_words_and_says_so() -> None:
    done = called("lastSeq", "--json")
    assert done.exit_code == 0
    assert done.stderr.startswith("Note: found by words only, for the embedder gave no vector: ")
    assert len(done.stderr.splitlines()) == 1
    found = json.loads(done.stdout)
    assert {hit["entity"] for hit in found} == {"acme/rocket#13", "acme/rocket!35"}
    assert {"words"} <= {name for hit in found for name in hit["found_by"]} <= {"exact", "words"}
    assert called("lastSeq", "--vector-only").exit_code == 1


def test_an_empty_index_is_told(synced: DuckDBLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    with synced.write("forget") as tx:
        tx._connection.execute("DELETE FROM embeddings")
    done = called("lastSeq", "--json")
    assert "no document has a vector of wordllama-256 yet: found by words only" in done.stderr
    assert json.loads(done.stdout)[0]["found_by"] == {"exact": 1, "words": 1}
    monkeypatch.setenv("SURGICAL_LEDGER", str(synced.path.with_name("new.duckdb")))
    with DuckDBLedger(synced.path.with_name("new.duckdb")).write("make"):
        pass
    done = called("lastSeq")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "the ledger has no documents yet: sync something first" in done.stderr


def test_a_search_goes_on_beside_another_reader(synced: DuckDBLedger) -> None:
    with synced.read("beside"):
        answers: list[Result] = []
        thread = threading.Thread(target=lambda: answers.append(called("valve", "--json")))
        thread.start()
        thread.join(timeout=60)
    assert [one.exit_code for one in answers] == [0]


MANUAL = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("synced")
def test_every_command_of_the_manual_runs() -> None:
    commands = [line.removeprefix("$ ") for line in MANUAL.splitlines() if line.startswith("$ ")]
    assert len(commands) >= 3
    for command in commands:
        program, *arguments = shlex.split(command)
        assert (program, CliRunner().invoke(app, arguments).exit_code) == ("surgical-pipeline", 0)


def test_every_statement_of_the_manual_answers(
    synced: DuckDBLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In DuckDB alone, in a folder that holds the vector of the question as the manual says to get it."""
    (tmp_path / "question.json").write_text(called("fuel valve late", "--vector-only").stdout, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    block = MANUAL.partition("```sql\n")[2].partition("```")[0]
    statements = [one for one in block.split(";\n") if one.strip()]
    assert len(statements) == block.count("search_documents(") + 2
    with duckdb.connect(str(synced.path), read_only=True) as connection:
        for statement in statements:
            assert connection.execute(statement).fetchall(), statement


@pytest.mark.usefixtures("synced")
def test_the_vector_of_a_text_serves_the_macro(ledger: DuckDBLedger) -> None:
    printed = json.loads(called("stale altitude", "--vector-only").stdout)
    assert (printed["model"], printed["dimension"], len(printed["vector"])) == ("wordllama-256", 256, 256)
    with ledger.read() as tx:
        rows = tx._connection.execute(
            "SELECT entity FROM search_documents('stale altitude', question_vector := ?) LIMIT 1",
            [printed["vector"]],
        ).fetchall()
    assert rows == [("acme/rocket#13",)]
