"""`surgical-pipeline runs list|show|reconcile`: what the ledger says about runs."""

from typing import Annotated

import typer

app = typer.Typer(help="Runs in the ledger.", no_args_is_help=True)
_JSON = typer.Option("--json", help="Print one JSON document on stdout.")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")] = 20,
    status: Annotated[str | None, typer.Option(help="Only runs with this status, such as failed.")] = None,
    *,
    events: Annotated[bool, typer.Option("--events", help="Only runs that GitLab's events asked for.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """The latest runs, newest first."""
    from surgical_pipeline.cli.environment import EXIT_USAGE, existing_ledger, fail, ledger_errors
    from surgical_pipeline.cli.output import print_runs
    from surgical_pipeline.cli.terminal import print_json
    from surgical_pipeline.domain.lifecycle import RunStatus
    from surgical_pipeline.ledger.runs import list_runs
    from surgical_pipeline.settings import Settings

    if status is not None and status not in set(RunStatus):
        fail(f"unknown status {status!r}: choose of {', '.join(RunStatus)}", code=EXIT_USAGE)
    ledger = existing_ledger(Settings.from_environment())
    with ledger_errors(), ledger.read("runs") as tx:
        runs = list_runs(tx, limit=limit, status=RunStatus(status) if status else None, of_events=events)
    if as_json:
        print_json([run.model_dump(mode="json") for run in runs])
    else:
        print_runs(runs)


@app.command()
def show(
    run_id: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """One run with the outcome of each entity; with --json the same document that `sync --json` printed."""
    from surgical_pipeline.cli.environment import EXIT_USAGE, existing_ledger, fail, ledger_errors
    from surgical_pipeline.cli.output import print_result
    from surgical_pipeline.cli.terminal import print_json
    from surgical_pipeline.ledger.runs import find_run, load_result
    from surgical_pipeline.settings import Settings

    ledger = existing_ledger(Settings.from_environment())
    with ledger_errors(), ledger.read("run") as tx:
        found = find_run(tx, run_id)
        result = load_result(tx, found.run_id) if found else None
    if result is None:
        fail(
            f"no run begins with {run_id!r}: it never was, or it was pruned; see `surgical-pipeline runs list`",
            code=EXIT_USAGE,
        )
    if as_json:
        print_json(result)
    else:
        print_result(result)


@app.command()
def reconcile(as_json: Annotated[bool, _JSON] = False) -> None:
    """Make the ledger and Dagster agree now, as the sensor `mirror` does while Dagster's daemon runs.

    Runs of the last 24 hours that the ledger lacks get their row, and runs whose process is gone end as failed
    with WORKER_LOST, in the ledger and in Dagster.
    """
    from surgical_pipeline.cli.environment import ledger_errors, usage_errors
    from surgical_pipeline.cli.output import print_changes
    from surgical_pipeline.cli.terminal import print_json
    from surgical_pipeline.defs.launch import reconcile_now
    from surgical_pipeline.ledger.opening import open_ledger
    from surgical_pipeline.settings import Settings

    with usage_errors():
        settings = Settings.from_environment()
        _ = settings.dagster_home
        ledger = open_ledger(settings)
    with ledger_errors():
        changes = reconcile_now(ledger)
    if as_json:
        print_json([change.model_dump() for change in changes])
    else:
        print_changes(changes)
