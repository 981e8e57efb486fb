"""A backfill from a terminal: plan, ask, launch, show how far it is, and say what became of it."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NoReturn

import typer

from surgical_pipeline.cli.actions.backfill_output import print_plan, print_status
from surgical_pipeline.cli.actions.backfill_watch import Watch
from surgical_pipeline.cli.actions.sync import checked_ledger
from surgical_pipeline.cli.environment import EXIT_FAILED, EXIT_USAGE, fail, ledger_errors, usage_errors
from surgical_pipeline.cli.interrupts import Interrupts
from surgical_pipeline.cli.output import EXIT_CODES
from surgical_pipeline.cli.progress import Look, display_for, shown_progress
from surgical_pipeline.cli.terminal import deliver, print_json, say, tell
from surgical_pipeline.defs.backfill_commands import Backfills, opened_backfills
from surgical_pipeline.defs.backfills import Launched, plan
from surgical_pipeline.domain.backfill import BackfillError, BackfillPlan, Wish
from surgical_pipeline.domain.backfill_report import BackfillResult, BackfillState, BackfillStatus
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody wants it. ``ask``: before anything is launched."""

    ask: bool
    local: bool
    as_json: bool
    verbose: bool


def exit_code_of(result: BackfillResult) -> int:
    """130 also if it goes on and is no longer shown."""
    if result.backfill_id is None:
        return EXIT_CODES[RunStatus.SUCCEEDED]
    if result.status is None or not result.shown_to_the_end or result.status.state is BackfillState.CANCELLED:
        return EXIT_CODES[RunStatus.CANCELLED]
    return EXIT_CODES[_verdict(result.status)]


def _verdict(status: BackfillStatus) -> RunStatus:
    if status.progress.done == status.progress.entities:
        return RunStatus.SUCCEEDED
    return RunStatus.SUCCEEDED_WITH_WARNINGS if status.progress.done else RunStatus.FAILED


def start_backfill(wish: Wish, way: Way, *, interrupts: Interrupts) -> NoReturn:
    """From a wish to the end of its backfill.

    Raises:
        typer.Exit: always, with the exit code.
    """
    with ledger_errors(), usage_errors():
        ledger = checked_ledger()
        settings = Settings.from_environment()
    if (wish.projects or wish.updated_after) and sys.stderr.isatty():
        tell("Asking GitLab what there is …")
    with _refusals(), _nothing_yet():
        planned = plan(wish, settings)
    _carry_out(planned, way, ledger=ledger, interrupts=interrupts, tags={})


def resume_backfill(prefix: str, way: Way, *, interrupts: Interrupts) -> NoReturn:
    """The same for what is left of a backfill.

    Raises:
        typer.Exit: always, with the exit code.
    """
    with ledger_errors():
        ledger = checked_ledger()
    with ledger_errors(), opened_backfills(ledger) as backfills:
        with _refusals(EXIT_USAGE):
            backfill_id = backfills.find(prefix).id
        with _refusals(), _nothing_yet():
            left = backfills.resumption(backfill_id)
    _carry_out(left.plan, way, ledger=ledger, interrupts=interrupts, tags=left.tags)


def _carry_out(
    planned: BackfillPlan, way: Way, *, ledger: Ledger, interrupts: Interrupts, tags: Mapping[str, str]
) -> NoReturn:
    _show_plan(planned, way)
    if not planned.chunks:
        _conclude(BackfillResult(plan=planned), way)
    with _refusals(), ledger_errors(), opened_backfills(ledger) as backfills:
        with _nothing_yet():
            consented = not way.local and not _daemon_or_consent(backfills, way)
            if way.ask and not consented and not _confirmed("Launch it?"):
                raise KeyboardInterrupt
        local = way.local or consented
        follow = _Follow(planned, way, backfills=backfills, interrupts=interrupts, tags=tags)
        result = follow.here() if local else follow.by_daemon()
    _conclude(result, way)


@dataclass(frozen=True)
class _Follow:
    planned: BackfillPlan
    way: Way
    backfills: Backfills
    interrupts: Interrupts
    tags: Mapping[str, str]

    def by_daemon(self) -> BackfillResult:
        launched = self.backfills.launch(self.planned, tags=self.tags)
        watch = Watch(self.backfills, launched.backfill_id)
        try:
            self._tell(launched)
            with self._shown(lambda: watch.now):
                while not self.interrupts.asked() and not watch.look():
                    time.sleep(watch.pause_seconds)
        except KeyboardInterrupt:
            pass
        ended = watch.all_ended or self.backfills.find(launched.backfill_id).state.over
        if not ended:
            tell(
                f"The backfill goes on: `surgical-pipeline backfill status {launched.backfill_id}` says how far "
                f"it is, `backfill cancel {launched.backfill_id}` ends it."
            )
        return self._result(launched, to_the_end=ended)

    def here(self) -> BackfillResult:
        log_level = "INFO" if self.way.verbose else "CRITICAL"
        backfill = self.backfills.here(self.planned, tags=self.tags, log_level=log_level)
        launched = backfill.launched
        if launched.under_way:
            fail(f"the same backfill is under way already: {launched.backfill_id}", code=EXIT_FAILED)
        self._tell(launched)
        with self._shown(lambda: backfill.progress):
            backfill.execute(cancelled=self.interrupts.asked)
        return self._result(launched, to_the_end=True)

    def _tell(self, launched: Launched) -> None:
        tell(f"Backfill {launched.backfill_id} {'is under way already' if launched.under_way else 'launched'}.")

    def _shown(self, look: Look) -> AbstractContextManager[None]:
        return shown_progress(look, display_for(as_json=self.way.as_json, verbose=self.way.verbose))

    def _result(self, launched: Launched, *, to_the_end: bool) -> BackfillResult:
        status: BackfillStatus | None = None
        try:
            status = self.backfills.status(launched.backfill_id)
        except LedgerError as error:
            tell(f"The ledger cannot be read: {error}")
        return BackfillResult(
            plan=self.planned,
            backfill_id=launched.backfill_id,
            under_way=launched.under_way,
            shown_to_the_end=to_the_end,
            status=status,
        )


def _conclude(result: BackfillResult, way: Way) -> NoReturn:
    if way.as_json:
        print_json(result)
    elif result.status is not None:
        print_status(result.status)
    elif result.backfill_id is None:
        say("There is nothing to do.")
    raise typer.Exit(exit_code_of(result))


def _daemon_or_consent(backfills: Backfills, way: Way) -> bool:
    """Whether a daemon will run it; False: somebody at the terminal wants it to run here instead.

    Raises:
        typer.Exit: there is no daemon, and nobody is at the terminal.
        KeyboardInterrupt: somebody is, and does not want that.
    """
    if backfills.daemon_runs:
        return True
    seen = backfills.daemon_seen
    when = f"since {seen.isoformat(timespec='seconds')}" if seen else "so far"
    told = f"Dagster's daemon, which would run it, has given no sign of life {when}"
    if not way.ask:
        fail(f"{told}: start `dagster dev`, or add --local to run it in this process", code=EXIT_FAILED)
    tell(f"{told}.", style="yellow")
    if _confirmed("Run it in this process instead, as --local does?"):
        return False
    raise KeyboardInterrupt


def _show_plan(planned: BackfillPlan, way: Way) -> None:
    """On stdout; beside a JSON document on stderr, if somebody is asked about it."""
    if not way.as_json:
        print_plan(planned)
        deliver()
    elif way.ask:
        print_plan(planned, speak=tell)


def _confirmed(question: str) -> bool:
    tell(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def _nothing_yet() -> Iterator[None]:
    """Ctrl+C, or no for an answer, while nothing has been launched: a line says so, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        tell("Nothing was launched.")
        raise typer.Exit(EXIT_CODES[RunStatus.CANCELLED]) from None


@contextmanager
def _refusals(code: int = EXIT_FAILED) -> Iterator[None]:
    """What the planner cannot do, or a backfill that there is not: one line; nothing was launched."""
    try:
        yield
    except BackfillError as error:
        fail(str(error), code=code)
