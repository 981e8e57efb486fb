"""`surgical-pipeline events list|retry|drop`: GitLab's events in the inbox, and what became of them."""

from typing import Annotated

import typer

app = typer.Typer(help="Events of GitLab's hooks in the inbox.", no_args_is_help=True)
_JSON = typer.Option("--json", help="Print one JSON document on stdout.")
_NUMBERS = typer.Argument(
    metavar="EVENT...", min=1, max=2**63 - 1, help="Numbers of events, as `events list` shows them."
)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, latest first.")] = 20,
    state: Annotated[str | None, typer.Option(help="Only events in this state, such as dead.")] = None,
    *,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """The latest events, latest first, each with what became of it."""
    from surgical_pipeline.cli.actions.events import shown_events
    from surgical_pipeline.cli.environment import EXIT_USAGE, existing_ledger, fail, ledger_errors, usage_errors
    from surgical_pipeline.cli.output import print_events
    from surgical_pipeline.cli.terminal import print_json
    from surgical_pipeline.ledger.events import EventState, list_events
    from surgical_pipeline.settings import Settings

    if state is not None and state not in set(EventState):
        fail(f"unknown state {state!r}: choose of {', '.join(EventState)}", code=EXIT_USAGE)
    settings = Settings.from_environment()
    ledger = existing_ledger(settings)
    with ledger_errors(), ledger.read("events") as tx:
        found = list_events(tx, limit=limit, state=EventState(state) if state else None)
    with usage_errors():
        events = shown_events(settings, found)
    if as_json:
        print_json([event.model_dump(mode="json") for event in events])
    else:
        print_events(events)


@app.command()
def retry(
    numbers: Annotated[list[int] | None, _NUMBERS] = None,
    *,
    all_dead: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Ask for runs again because of dead letters or ignored events, as if none had been tried."""
    from surgical_pipeline.cli.environment import existing_ledger, ledger_errors
    from surgical_pipeline.ledger.events import retry_events
    from surgical_pipeline.settings import Settings

    _must_name(numbers, all_dead=all_dead)
    ledger = existing_ledger(Settings.from_environment())
    with ledger_errors(), ledger.write("retry events") as tx:
        changed = retry_events(tx, numbers or (), all_dead=all_dead)
    _tell(changed, numbers, word="pending again", as_json=as_json)


@app.command()
def drop(
    numbers: Annotated[list[int] | None, _NUMBERS] = None,
    *,
    all_dead: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Ask for no run because of these dead letters or pending events; they are ignored from now on."""
    from surgical_pipeline.cli.environment import existing_ledger, ledger_errors
    from surgical_pipeline.ledger.events import drop_events
    from surgical_pipeline.settings import Settings

    _must_name(numbers, all_dead=all_dead)
    ledger = existing_ledger(Settings.from_environment())
    with ledger_errors(), ledger.write("drop events") as tx:
        changed = drop_events(tx, numbers or (), now=tx.now, all_dead=all_dead)
    _tell(changed, numbers, word="ignored from now on", as_json=as_json)


def _must_name(numbers: list[int] | None, *, all_dead: bool) -> None:
    from surgical_pipeline.cli.environment import EXIT_USAGE, fail

    if bool(numbers) is all_dead:
        fail("name events by their numbers, or all dead letters with --all", code=EXIT_USAGE)


def _tell(changed: list[int], numbers: list[int] | None, *, word: str, as_json: bool) -> None:
    """What was changed, and on stderr what was left because its state does not allow it."""
    from surgical_pipeline.cli.terminal import print_json, say, tell

    left = sorted(set(numbers or ()) - set(changed))
    if as_json:
        print_json({"changed": changed, "left": left})
        return
    say(f"{len(changed)} events are {word}.")
    if left:
        tell(f"Left as they are, for their state or because there are none: {', '.join(map(str, left))}.")
