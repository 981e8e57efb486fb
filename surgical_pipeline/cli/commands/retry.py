"""`surgical-pipeline retry RUN_ID`: sync again what failed and may succeed now, and nothing else."""

from typing import Annotated

import typer


def retry(
    run_id: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    entity_timeout_seconds: Annotated[
        float | None, typer.Option(min=0.1, max=3600, help="Instead of the run's own: seconds for one entity.")
    ] = None,
    dependents_budget_seconds: Annotated[
        float | None, typer.Option(min=0.1, max=86_400, help="Instead of the run's own: seconds for all entities.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one RetryResult document on stdout.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Dagster's log on stderr.")] = False,
) -> None:
    """Sync again those entities of a run that failed with a retryable code, with the config of that run.

    Prints what it leaves alone, and why. Exit codes as for sync; 0 if there is nothing to try again.
    """
    from surgical_pipeline.cli.interrupts import noted_interrupts
    from surgical_pipeline.cli.progress import display_for

    with noted_interrupts() as interrupts:
        from surgical_pipeline.cli.actions.retry import print_left_alone, retry_run
        from surgical_pipeline.cli.actions.sync import conclude

        retried = retry_run(
            run_id,
            changes={
                "entity_timeout_seconds": entity_timeout_seconds,
                "dependents_budget_seconds": dependents_budget_seconds,
            },
            verbose=verbose,
            display=display_for(as_json=as_json, verbose=verbose),
            interrupts=interrupts,
        )
    if not as_json:
        print_left_alone(retried)
    conclude(retried.result, document=retried if as_json else None)
