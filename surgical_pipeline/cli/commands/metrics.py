"""`surgical-pipeline metrics`: what Prometheus reads of the ledger."""

from typing import Annotated

import typer

app = typer.Typer(help="What Prometheus reads of the ledger.", no_args_is_help=True)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8931,
    as_json: Annotated[
        bool, typer.Option("--json", help="The address as one JSON document on stdout, and logs as JSON lines.")
    ] = False,
) -> None:
    """Serve the ledger's metrics at /metrics, /healthz and /readyz until interrupted."""
    from surgical_pipeline.cli.actions.metrics import serve_metrics
    from surgical_pipeline.cli.environment import EXIT_FAILED, fail, usage_errors
    from surgical_pipeline.cli.logs import show_logs
    from surgical_pipeline.settings import Settings

    show_logs(as_json=as_json)
    try:
        with usage_errors():
            serve_metrics(Settings.from_environment(), host=host, port=port, as_json=as_json)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port", code=EXIT_FAILED)
