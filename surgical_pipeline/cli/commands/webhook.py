"""`surgical-pipeline webhook`: the receiver of GitLab's hooks."""

from typing import Annotated

import typer

app = typer.Typer(help="The receiver of GitLab's hooks.", no_args_is_help=True)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8930,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Take hooks without any secret, on a loopback address only.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The address as one JSON document on stdout, and logs as JSON lines.")
    ] = False,
) -> None:
    """Take GitLab's hooks at /webhooks/gitlab until interrupted, and bring their events into the ledger."""
    from surgical_pipeline.cli.actions.webhook import Receiver
    from surgical_pipeline.cli.environment import EXIT_FAILED, EXIT_USAGE, fail, usage_errors
    from surgical_pipeline.cli.logs import show_logs
    from surgical_pipeline.settings import Settings
    from surgical_pipeline.webhook.spool import SpoolPlaceError
    from surgical_pipeline.webhook.spool_file import SpoolError

    show_logs(as_json=as_json)
    with usage_errors():
        receiver = Receiver(Settings.from_environment(), host=host, insecure=insecure)
    try:
        receiver.serve(port, as_json=as_json)
    except SpoolPlaceError as error:
        fail(str(error), code=EXIT_USAGE)
    except SpoolError as error:
        fail(str(error), code=EXIT_FAILED)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port", code=EXIT_FAILED)
