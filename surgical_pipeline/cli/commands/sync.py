"""`surgical-pipeline sync SCOPE...`: run the real Dagster job over exactly these entities."""

from typing import Annotated

import typer

from surgical_pipeline.domain import limits
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent, choose_dependents


def sync(  # noqa: PLR0913  an argument each for what people may set
    scopes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCOPE...",
            help="What to sync, in GitLab's notation: group/project#12+14!34, ranges as #3-9; or addresses out of "
            "a browser; @FILE for a list of both, - for a list on stdin.",
        ),
    ],
    *,
    preflight_budget_seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds for fetching the entities themselves.")
    ] = limits.PREFLIGHT_BUDGET_SECONDS,
    entity_timeout_seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds for the dependents of one entity.")
    ] = limits.ENTITY_TIMEOUT_SECONDS,
    dependents_budget_seconds: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Seconds for the dependents of all entities.")
    ] = limits.DEPENDENTS_BUDGET_SECONDS,
    embed_budget_seconds: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Seconds for embedding the regenerated documents.")
    ] = limits.EMBED_BUDGET_SECONDS,
    max_requests_in_flight: Annotated[
        int, typer.Option(min=1, max=64, help="Requests to GitLab at once; lower it where GitLab answers 429.")
    ] = limits.MAX_REQUESTS_IN_FLIGHT,
    dependents: Annotated[
        str, typer.Option(metavar="A,B", help=f"Which dependents to fetch, of: {', '.join(Dependent)}.")
    ] = ",".join(CORE_DEPENDENTS),
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="Fetch no dependents of what is as the ledger has it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one SyncResult document on stdout.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Dagster's log on stderr.")] = False,
) -> None:
    """Bring exactly these issues and merge requests up to date, and print what became of each.

    Needs GITLAB_URL and GITLAB_TOKEN. Exit code 0: all is up to date; 3: with warnings; 1: failed; 130: cancelled,
    by Ctrl+C or SIGTERM, with the outcome of each entity so far.
    """
    from surgical_pipeline.cli.environment import usage_errors
    from surgical_pipeline.cli.interrupts import noted_interrupts
    from surgical_pipeline.cli.progress import display_for
    from surgical_pipeline.cli.scopes import read_scope
    from surgical_pipeline.domain.budgets import Budgets

    with usage_errors():
        scope = read_scope(scopes)
        wanted = choose_dependents(name.strip() for name in dependents.split(",") if name.strip())
    budgets = Budgets(
        preflight_budget_seconds=preflight_budget_seconds,
        entity_timeout_seconds=entity_timeout_seconds,
        dependents_budget_seconds=dependents_budget_seconds,
        embed_budget_seconds=embed_budget_seconds,
        max_requests_in_flight=max_requests_in_flight,
    )
    with noted_interrupts() as interrupts:
        from surgical_pipeline.cli.actions.sync import conclude, run_sync

        result = run_sync(
            scope,
            budgets=budgets,
            dependents=wanted,
            only_changed=only_changed,
            verbose=verbose,
            display=display_for(as_json=as_json, verbose=verbose),
            interrupts=interrupts,
        )
    conclude(result, document=result if as_json else None)
