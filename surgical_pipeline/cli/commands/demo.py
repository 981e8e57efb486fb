"""`surgical-pipeline demo`: the real job against the sandbox GitLab, explained."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from surgical_pipeline.domain.outcomes import SyncResult

SCOPE = "acme/rocket#12+14+9999!34+35"
"""Three issues, of which #9999 does not exist, and two merge requests."""
MISSING = "acme/rocket#9999"
QUESTION = "telemetry is lost when the radio link drops"


def demo(
    home: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the demo's own Dagster state and ledger; it is kept.")
    ] = Path(".demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one SyncResult document on stdout.")] = False,
) -> None:
    """Sync three issues and two merge requests of an embedded GitLab, one of which does not exist."""
    from surgical_pipeline.cli.output import print_result
    from surgical_pipeline.cli.terminal import print_json, say
    from surgical_pipeline.sandbox.server import RunningSandbox

    with RunningSandbox() as sandbox:
        _set_environment(home.absolute(), url=sandbox.url, token=sandbox.token)
        if not as_json:
            say(f"A sandbox GitLab listens on {sandbox.url}; the Dagster job runs over ", (SCOPE, "bold"))
            say()
        result = _sync(as_json=as_json)
    if as_json:
        print_json(result)
    else:
        print_result(result)
        _print_search()
        _print_next(home)
    _judge(result)


def _set_environment(home: Path, *, url: str, token: str) -> None:
    """Everything is in the demo's own folder: it touches no other ledger."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    instance = Path("dagster.yaml")
    if instance.is_file():
        shutil.copy(instance, home)
    elif not (home / instance).exists():
        (home / instance).write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    os.environ |= {
        "DAGSTER_HOME": str(home),
        "SURGICAL_LEDGER": str(home / "ledger.duckdb"),
        "SURGICAL_EMBEDDER": "wordllama",
        "GITLAB_URL": url,
        "GITLAB_TOKEN": token,
    }


def _sync(*, as_json: bool) -> "SyncResult":
    from surgical_pipeline.cli.interrupts import noted_interrupts
    from surgical_pipeline.cli.progress import display_for
    from surgical_pipeline.domain.budgets import Budgets
    from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
    from surgical_pipeline.domain.scope import Scope

    with noted_interrupts() as interrupts:
        from surgical_pipeline.cli.actions.sync import run_sync

        return run_sync(
            Scope.parse(SCOPE),
            budgets=Budgets(),
            dependents=CORE_DEPENDENTS,
            verbose=False,
            display=display_for(as_json=as_json, verbose=False),
            interrupts=interrupts,
        )


def _print_search() -> None:
    from surgical_pipeline.cli.actions.search import find
    from surgical_pipeline.cli.output import print_hits
    from surgical_pipeline.cli.terminal import say
    from surgical_pipeline.settings import Settings

    say()
    say("A search in the new embeddings for ", (repr(QUESTION), "bold"), ":")
    print_hits(find(QUESTION, settings=Settings.from_environment(), limit=1))


def _print_next(home: Path) -> None:
    from surgical_pipeline.cli.terminal import say

    for line in (
        "",
        "Try next:",
        "  make demo         again: takes seconds, and renders and embeds nothing, for nothing has changed",
        "  make ui           the same in Dagster's UI, with this run in its history",
        f"  DAGSTER_HOME={home.absolute()} .venv/bin/surgical-pipeline runs list",
        "  surgical-pipeline sync group/project#12!34   with your own GITLAB_URL and GITLAB_TOKEN",
    ):
        say(line)


def _judge(result: "SyncResult") -> None:
    """The one warning is planned; anything else is not, and ends with exit code 1."""
    from surgical_pipeline.cli.terminal import tell

    tell()
    failed = [one.entity for one in result.entity_outcomes if one.failure or one.dependent_failures]
    if result.completion_status != "succeeded_with_warnings" or failed != [MISSING]:
        tell("This is not what the demo expected.", style="red")
        raise typer.Exit(1)
    tell(f"The warning is planned: {MISSING} does not exist, and a run says so instead of dropping it.")
