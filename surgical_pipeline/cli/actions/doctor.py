"""What `doctor` checks, each as a finding with what to do."""

import asyncio
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from pathlib import Path

from surgical_pipeline.cli.actions.disk import check_size
from surgical_pipeline.cli.actions.events import check_events
from surgical_pipeline.cli.actions.finding import Finding
from surgical_pipeline.cli.actions.watching import check_watches
from surgical_pipeline.defs.dagster_home import try_to_write
from surgical_pipeline.defs.gateways import open_gitlab
from surgical_pipeline.domain.belonging import Belonging
from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.freshness import CLOCK_MARGIN
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.errors import GitLabError
from surgical_pipeline.ledger.belonging import load_belonging
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.mounts import MOUNTS, mount_of_file
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import DagsterHomeError, Settings, SettingsError
from surgical_pipeline.webhook.spool import read_counters

TIMEOUT_SECONDS = 10.0
ENOUGH_SCOPES = frozenset({"api", "read_api"})


@dataclass
class _Told:
    """GitLab's own address; None until it was asked, or if it does not report one."""

    gitlab_url: str | None = None


def check_up(settings: Settings) -> list[Finding]:
    """All findings, in the order in which to fix them."""
    told = _Told()
    return [
        *_check_gitlab(settings, told),
        _check_dagster(settings),
        *check_size(settings),
        *_check_ledger(settings, told),
        *check_watches(settings),
        *check_events(settings),
        *check_filesystem(settings),
        *_check_files(settings),
        *check_receiver(settings),
        _check_embedder(settings),
    ]


def _check_gitlab(settings: Settings, told: _Told) -> Iterator[Finding]:
    try:
        gitlab = settings.gitlab
    except SettingsError as error:
        yield Finding(check="gitlab", ok=False, found="not configured", what_to_do=str(error))
        return
    try:
        version, scopes, clock, (named, told.gitlab_url) = asyncio.run(_ask_gitlab(settings))
    except GitLabError as error:
        yield Finding(check="gitlab", ok=False, found=f"{gitlab.url}: {error}", what_to_do=error.code.advice)
        return
    except ValueError as error:  # a CA bundle that is not a PEM file
        yield Finding(check="gitlab", ok=False, found="not configured", what_to_do=str(error))
        return
    found = f"{gitlab.url}, version {version}"
    if named is not None:
        found += f"; its links name {named}, but every request goes to GITLAB_URL"
    yield Finding(check="gitlab", ok=True, found=found)
    if scopes is None:
        yield Finding(check="token", ok=True, found="accepted; this GitLab does not tell its scopes")
    else:
        enough = bool(ENOUGH_SCOPES & set(scopes))
        advice = "" if enough else "Create a token with the scope read_api and set GITLAB_TOKEN."
        yield Finding(check="token", ok=enough, found=f"scopes {', '.join(scopes) or 'none'}", what_to_do=advice)
    yield _clock_finding(clock.ahead)


async def _ask_gitlab(
    settings: Settings,
) -> tuple[str, tuple[str, ...] | None, GitLabClock, tuple[str | None, str | None]]:
    """Version, scopes of the token, clock, and GitLab's own address (``GitLabClient.told_of_itself``)."""
    async with open_gitlab(settings) as client:
        deadline = Deadline.after(TIMEOUT_SECONDS, time.monotonic)
        version, scopes = await client.version(deadline), await client.token_scopes(deadline)
        try:
            return version, scopes, client.clock, await client.told_of_itself(deadline)
        except GitLabError:  # a token with few scopes may not ask for lists; what it lacks is reported below
            return version, scopes, client.clock, (None, None)


def _clock_finding(ahead: timedelta | None) -> Finding:
    """Never prevents a sync: fetch times are by GitLab's clock. Heartbeats are by the machine's."""
    if ahead is None:
        found = "GitLab's answers carry no usable Date: fetches are told by this machine's clock"
        advice = "Keep the clocks of all machines that write to this ledger right, for example with NTP."
        return Finding(check="clock", ok=True, found=found, what_to_do=advice)
    if abs(ahead) <= CLOCK_MARGIN:
        return Finding(
            check="clock", ok=True, found=f"within {max(1, ceil(abs(ahead).total_seconds()))} s of GitLab's"
        )
    way = "behind" if ahead > timedelta() else "ahead of"
    found = f"this machine's is {timedelta(seconds=round(abs(ahead).total_seconds()))} {way} GitLab's"
    advice = (
        "Set it right, for example with NTP: other machines may take its runs for lost. Fetches are not affected."
    )
    return Finding(check="clock", ok=True, found=found, what_to_do=advice)


def _check_dagster(settings: Settings) -> Finding:
    try:
        try_to_write()
        home = settings.dagster_home
    except (SettingsError, DagsterHomeError) as error:
        return Finding(check="dagster", ok=False, found="cannot be used", what_to_do=str(error))
    return Finding(check="dagster", ok=True, found=f"{home}, writable")


def _check_ledger(settings: Settings, told: _Told) -> Iterator[Finding]:
    try:
        ledger = open_ledger(settings, wait_at_most_seconds=TIMEOUT_SECONDS)
        existed = ledger.exists
        with ledger.write("doctor") as tx:
            belongs_to = load_belonging(tx)
    except SettingsError as error:
        yield Finding(check="ledger", ok=False, found="cannot be used", what_to_do=str(error))
        return
    except LedgerError as error:
        yield Finding(check="ledger", ok=False, found=str(error), what_to_do=error.code.advice)
        return
    state = "writable, schema current" if existed else "made, schema current"
    yield Finding(check="ledger", ok=True, found=f"{ledger.location}, {state}")
    if belongs_to.gitlab_url is not None:
        yield _belonging_finding(belongs_to, told)


def _belonging_finding(belongs_to: Belonging, told: _Told) -> Finding:
    found = f"the ledger belongs to {belongs_to.gitlab_url}"
    if not belongs_to.is_another(told.gitlab_url):
        return Finding(check="ledger's gitlab", ok=True, found=found)
    return Finding(
        check="ledger's gitlab",
        ok=False,
        found=f"{found}, and the GitLab at GITLAB_URL says that it is {told.gitlab_url}",
        what_to_do="Set SURGICAL_LEDGER to another file for this GitLab. If GitLab has moved, run "
        f"`surgical-pipeline ledger rebase --gitlab {told.gitlab_url}`.",
    )


def check_filesystem(settings: Settings, *, mounts: Path = MOUNTS) -> Iterator[Finding]:
    """A warning if locks and durable writes are not guaranteed; a local disk gives none."""
    with suppress(SettingsError):  # already reported
        mount = mount_of_file(settings.ledger_path, mounts=mounts)
        if mount is not None and mount.is_remote:
            yield Finding(
                check="filesystem",
                ok=True,
                found=f"the ledger lies on {mount.point}, which is {mount.kind} ({mount.source})",
                what_to_do="Locks and lasting writes are not promised there, so runs can damage the file. "
                "Set SURGICAL_LEDGER to a path on a local disk.",
            )


def _check_files(settings: Settings) -> Iterator[Finding]:
    """Does not prevent a sync, but files made by an older version are readable by everybody on the machine."""
    try:
        ledger = settings.ledger_path if settings.ledger_address is None else None
        snapshots = settings.dagster_home / "snapshots"
    except SettingsError:
        return  # already reported
    files = (
        [] if ledger is None else [ledger, *(ledger.with_name(f"{ledger.name}.{end}") for end in ("wal", "lock"))]
    )
    files += [snapshots, *snapshots.glob("*.jsonl")]
    open_to_all = [str(path) for path in files if path.exists() and path.stat().st_mode & stat.S_IRWXO]
    if open_to_all:
        yield Finding(
            check="files",
            ok=True,
            found=f"everybody on this machine may read {', '.join(open_to_all[:5])}",
            what_to_do="They hold what GitLab shows to few: take the right away with `chmod o= FILE`.",
        )


def _check_embedder(settings: Settings) -> Finding:
    try:
        embedder = settings.embedder.create()
        embedder.embed(["a first word"])
    except SettingsError as error:
        return Finding(check="embedder", ok=False, found="not configured", what_to_do=str(error))
    except EmbedderError as error:
        return Finding(check="embedder", ok=False, found=str(error), what_to_do=error.code.advice)
    return Finding(check="embedder", ok=True, found=f"{embedder.name}, {embedder.dimension} dimensions")


def check_receiver(settings: Settings) -> Iterator[Finding]:
    """What the receiver of hooks counted, if there ever was one; a warning if it last refused something."""
    counted = None
    with suppress(SettingsError):  # already reported
        counted = read_counters(settings.spool_path)
    if counted is not None:
        last = f", the last at {counted.last_accepted_at:%Y-%m-%d %H:%M} UTC" if counted.last_accepted_at else ""
        yield Finding(
            check="hooks",
            ok=True,
            found=f"{counted.accepted} events taken{last}; refused: {counted.refused_secret} deliveries with a "
            f"wrong secret, {counted.refused_age} only for their age",
            what_to_do=" ".join(_advice_on_hooks(counted)),
        )


def _advice_on_hooks(counted: DeliveryCounts) -> Iterator[str]:
    """For what was refused after the last event was taken."""
    taken = counted.last_accepted_at
    if counted.last_refused_age_at and (taken is None or counted.last_refused_age_at > taken):
        yield (
            "GitLab's clock and that of the receiver's machine differ by more than 5 minutes: "
            "set the wrong one right, best by NTP."
        )
    if counted.last_refused_secret_at and (taken is None or counted.last_refused_secret_at > taken):
        yield (
            "Set the same signing token or secret token in the hook's settings in GitLab and in the receiver's "
            "environment, and restart the receiver."
        )
