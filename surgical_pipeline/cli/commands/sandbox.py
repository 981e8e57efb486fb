"""`surgical-pipeline sandbox`: an embedded GitLab with a sample project, to try things without risk."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from starlette.applications import Starlette

app = typer.Typer(help="An embedded GitLab with a sample project.", no_args_is_help=True)

Hook = Annotated[
    str | None, typer.Option(metavar="URL", help="Send hooks of every edit in the group acme to this address.")
]
HookToken = Annotated[str | None, typer.Option(help="Secret token that the hooks send.")]
HookSigningToken = Annotated[
    str | None, typer.Option(help="Signing token of the hooks: whsec_ and a key in base64.")
]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8929,
    issues: Annotated[
        int, typer.Option(min=20, max=100_000, help="Issues of acme/rocket; the first 120 are written by hand.")
    ] = 120,
    rate_limit: Annotated[
        int | None,
        typer.Option(min=1, help="Requests a minute for all clients together; 429 beyond. None: no limit."),
    ] = None,
    hook: Hook = None,
    hook_token: HookToken = None,
    hook_signing_token: HookSigningToken = None,
) -> None:
    """Serve the sandbox until interrupted."""
    from surgical_pipeline.cli.environment import EXIT_FAILED, fail
    from surgical_pipeline.cli.terminal import tell
    from surgical_pipeline.sandbox.sample.build import build_sample
    from surgical_pipeline.sandbox.server import create_app
    from surgical_pipeline.sandbox.server import serve as serve_sandbox
    from surgical_pipeline.sandbox.tokens import SANDBOX_TOKEN

    def announce(chosen: int) -> None:
        tell(f"export GITLAB_URL=http://{host}:{chosen} GITLAB_TOKEN={SANDBOX_TOKEN}")

    gitlab = create_app(build_sample(issues=issues), rate_limit=rate_limit)
    _send_hooks(gitlab, hook, token=hook_token, signing_token=hook_signing_token)
    try:
        serve_sandbox(host, port, app=gitlab, on_listening=announce)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port", code=EXIT_FAILED)


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run beside the sandbox.")],
    hook: Hook = None,
    hook_token: HookToken = None,
    hook_signing_token: HookSigningToken = None,
) -> None:
    """Run COMMAND with GITLAB_URL and GITLAB_TOKEN set to a sandbox that lives as long as the command does."""
    import os
    import signal
    import subprocess

    from surgical_pipeline.cli.environment import EXIT_USAGE, fail
    from surgical_pipeline.sandbox.server import RunningSandbox

    gitlab = RunningSandbox()
    _send_hooks(gitlab.app, hook, token=hook_token, signing_token=hook_signing_token)
    with gitlab as sandbox:
        environment = {**os.environ, "GITLAB_URL": sandbox.url, "GITLAB_TOKEN": sandbox.token}
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603  the person's own command
        except OSError as error:
            fail(f"{command[0]} cannot be started: {error.strerror}", code=EXIT_USAGE)
        # Ctrl+C reaches the child through the terminal; SIGTERM must be passed on. The child decides when to end.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        code = child.wait()
        raise typer.Exit(code if code >= 0 else 128 - code)


def _send_hooks(gitlab: "Starlette", url: str | None, *, token: str | None, signing_token: str | None) -> None:
    """Register one hook for the group of the sample's projects, if there is an address."""
    from surgical_pipeline.cli.environment import EXIT_USAGE, fail
    from surgical_pipeline.sandbox.hooks.models import HookSpec

    if url is None:
        return
    try:
        gitlab.state.hooks.add(HookSpec(url=url, kind="group", token=token, signing_token=signing_token))
    except ValueError:
        fail("--hook-signing-token must be whsec_ and a key in base64", code=EXIT_USAGE)
