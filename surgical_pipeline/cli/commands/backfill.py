"""`surgical-pipeline backfill PROJECT`: sync many entities in runs of their own; and what became of backfills."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from surgical_pipeline.domain.limits import DEFAULT_CHUNK, MAX_CHUNK

if TYPE_CHECKING:
    from surgical_pipeline.domain.backfill import Wish

START = "start"


class _ProjectOrCommand(TyperGroup):
    """`backfill PROJECT …` is short for `backfill start PROJECT …`: no project is named like a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [START, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ProjectOrCommand,
    help="Sync many issues and merge requests, in runs of some hundreds each: `backfill PROJECT --issues 1-500`, "
    "which is short for `backfill start PROJECT --issues 1-500`.",
    no_args_is_help=True,
)
_JSON = typer.Option("--json", help="Print one JSON document on stdout.")
_ID = typer.Argument(metavar="ID", help="The backfill's id, or the beginning of it.")
_LOCAL = typer.Option("--local", help="Run it in this process, without Dagster's daemon, one run after the other.")
_YES = typer.Option("--yes", "-y", help="Do not ask.")
_VERBOSE = typer.Option("--verbose", "-v", help="Dagster's log on stderr, with --local.")


@app.command(START)
def start(  # noqa: PLR0913  an argument each for what people may set
    project: Annotated[
        str | None,
        typer.Argument(help="The project, such as group/project; with --from-file, of rows without one."),
    ] = None,
    *,
    issues: Annotated[str, typer.Option(metavar="IIDS", help="IIDs of issues, such as 1-500,733.")] = "",
    mrs: Annotated[str, typer.Option(metavar="IIDS", help="IIDs of merge requests, such as 1-200.")] = "",
    from_file: Annotated[
        str | None,
        typer.Option(metavar="F", help="A list of entities: CSV or Parquet with columns, or text; - for stdin."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of the project's that GitLab lists.")] = False,
    updated_after: Annotated[
        str,
        typer.Option(metavar="T", help="Of these, only what changed since: 2026-01-31 or 2026-01-31T08:00:00Z."),
    ] = "",
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="Fetch no dependents of what is as the ledger has it.")
    ] = False,
    chunk: Annotated[
        int, typer.Option(min=1, max=MAX_CHUNK, help="Issues and merge requests of one run at most.")
    ] = DEFAULT_CHUNK,
    yes: Annotated[bool, _YES] = False,
    local: Annotated[bool, _LOCAL] = False,
    as_json: Annotated[bool, _JSON] = False,
    verbose: Annotated[bool, _VERBOSE] = False,
) -> None:
    """Plan a backfill, launch it, and show how far it is until it ends; Ctrl+C ends only the showing.

    Needs GITLAB_URL and GITLAB_TOKEN, and Dagster's daemon (`dagster dev`) or --local. Exit code 0: all is up to
    date; 3: some of it; 1: nothing, or it could not be launched; 130: cancelled, or no longer shown.
    """
    from surgical_pipeline.cli.environment import usage_errors
    from surgical_pipeline.cli.interrupts import noted_interrupts

    with usage_errors():
        wish = _wish(project, issues=issues, mrs=mrs, from_file=from_file, whole=all_, updated_after=updated_after)
    with noted_interrupts() as interrupts:
        from dataclasses import replace

        from surgical_pipeline.cli.actions.backfill import Way, start_backfill

        way = Way(
            ask=not yes and sys.stdin.isatty() and sys.stderr.isatty(),
            local=local,
            as_json=as_json,
            verbose=verbose,
        )
        start_backfill(replace(wish, only_changed=only_changed, chunk=chunk), way, interrupts=interrupts)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")] = 20,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """The latest backfills, newest first, wherever they were launched."""
    from surgical_pipeline.cli.actions.backfill_life import show_list

    show_list(limit, as_json=as_json)


@app.command()
def status(
    backfill_id: Annotated[str, _ID],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """How far it is: its entities by the ledger, and where Dagster says otherwise."""
    from surgical_pipeline.cli.actions.backfill_life import show_status

    show_status(backfill_id, as_json=as_json)


@app.command()
def cancel(
    backfill_id: Annotated[str, _ID],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """End it: no more runs begin, those that go on are terminated. Waits until they have ended."""
    from surgical_pipeline.cli.actions.backfill_life import cancel_backfill

    cancel_backfill(backfill_id, as_json=as_json)


@app.command()
def resume(
    backfill_id: Annotated[str, _ID],
    *,
    yes: Annotated[bool, _YES] = False,
    local: Annotated[bool, _LOCAL] = False,
    as_json: Annotated[bool, _JSON] = False,
    verbose: Annotated[bool, _VERBOSE] = False,
) -> None:
    """Launch a backfill of what is left of one that is over: what no run had, and what failed and may succeed."""
    from surgical_pipeline.cli.interrupts import noted_interrupts

    with noted_interrupts() as interrupts:
        from surgical_pipeline.cli.actions.backfill import Way, resume_backfill

        way = Way(
            ask=not yes and sys.stdin.isatty() and sys.stderr.isatty(),
            local=local,
            as_json=as_json,
            verbose=verbose,
        )
        resume_backfill(backfill_id, way, interrupts=interrupts)


@app.command()
def prune(
    backfill_id: Annotated[str, _ID],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Remove the partition keys of a backfill that is over and has nothing left to resume; its runs stay."""
    from surgical_pipeline.cli.actions.backfill_life import prune_backfill

    prune_backfill(backfill_id, as_json=as_json)


def _wish(
    project: str | None, *, issues: str, mrs: str, from_file: str | None, whole: bool, updated_after: str
) -> "Wish":
    """What somebody asks for, before the options that hold for all of it.

    Raises:
        ScopeError: it cannot be read, or says too little or too much.
        SettingsError: a file has addresses, but no GitLab is configured.
    """
    from surgical_pipeline.domain.backfill import Wish, named_scope
    from surgical_pipeline.domain.moments import moment_of
    from surgical_pipeline.domain.scope import Scope, ScopeError

    ways = [bool(issues or mrs), from_file is not None, whole]
    if sum(ways) > 1:
        raise ScopeError("name IIDs with --issues and --mrs, a list with --from-file, or --all: one of these")
    if not any(ways) and not updated_after:
        raise ScopeError("say what of the project: --issues, --mrs, --from-file, --all or --updated-after")
    if project is None and from_file is None:
        raise ScopeError("name the project, such as group/project")
    try:
        since = moment_of(updated_after) if updated_after else None
    except ValueError as error:
        raise ScopeError(f"--updated-after {error}") from error
    if project is not None:
        Scope.of(project, issue_iids=[1])  # the project's rule
    if from_file is not None:
        from surgical_pipeline.cli.backfill_files import read_file

        return Wish(scopes=read_file(from_file, project=project), updated_after=since)
    if issues or mrs:
        return Wish(scopes=(named_scope(project or "", issues=issues, merge_requests=mrs),), updated_after=since)
    return Wish(projects=(project or "",), updated_after=since)
