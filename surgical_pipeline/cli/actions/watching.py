"""What `doctor` says about watched projects: whether their lists can be read, and how well hooks do."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

from surgical_pipeline.cli.actions.finding import Finding
from surgical_pipeline.defs.gateways import open_gitlab
from surgical_pipeline.defs.list_looks import Looks, look_at_lists
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.gitlab.errors import GitLabError
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.inbox import load_deliveries
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.polling import SOON, count_announced, load_watched_projects
from surgical_pipeline.settings import Settings, SettingsError

TIMEOUT_SECONDS = 10.0
_LATELY = timedelta(hours=24)


def check_watches(settings: Settings) -> Iterator[Finding]:
    """Nothing if no project is watched. What is wrong with GitLab or the ledger as a whole is told elsewhere."""
    try:
        watches = settings.watches
    except SettingsError as error:
        yield Finding(check="projects", ok=False, found="not configured", what_to_do=str(error))
        return
    if not watches:
        return
    try:
        looks = asyncio.run(look_at_lists(open_gitlab(settings), watches, {}, since=None))
    except (SettingsError, ValueError, GitLabError):
        return
    yield from _of_lists(watches, looks)
    yield from _of_hooks(settings, watches, looks)


def _of_lists(watches: Sequence[Watch], looks: Looks) -> Iterator[Finding]:
    failing = {
        watch: error
        for watch in watches
        if (error := next((look.error for look in looks.lists.get(watch, ()) if look.error), None))
    }
    readable = [str(watch) for watch in watches if watch not in failing]
    if readable:
        yield Finding(check="projects", ok=True, found=f"watched: {', '.join(readable)}")
    for watch, error in failing.items():
        yield Finding(
            check="projects",
            ok=False,
            found=f"the lists of {watch} cannot be read: {error.reason}",
            what_to_do=error.code.advice,
        )


def _of_hooks(settings: Settings, watches: Sequence[Watch], looks: Looks) -> Iterator[Finding]:
    try:
        ledger = open_ledger(settings, wait_at_most_seconds=TIMEOUT_SECONDS)
        if not ledger.exists:
            return
        with ledger.read("doctor") as tx:
            ids = [
                project.project_id
                for project in load_watched_projects(tx)
                if any(watch.covers(project.project_id, project.path) for watch in watches)
            ]
            counted = count_announced(
                tx, ids, since=looks.now - _LATELY, until=looks.now - SOON, ahead=looks.ahead
            )
            refused = load_deliveries(tx).refusals(looks.now - looks.ahead - _LATELY)
    except (SettingsError, LedgerError):
        return
    if told := counted.sentence(looks.now, refused=refused, expected=settings.expects_hooks):
        yield Finding(check="hooks", ok=True, found=f"in the last 24 hours, {told}")
