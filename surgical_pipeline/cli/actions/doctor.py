"""What `doctor` looks at, each as a finding with what to do."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from surgical_pipeline.cli.mounts import MOUNTS, mount_of_file
from surgical_pipeline.defs.gateways import open_embedder, open_gitlab
from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.gitlab.errors import GitLabError
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings, SettingsError

TIMEOUT_SECONDS = 10.0
ENOUGH_SCOPES = frozenset({"api", "read_api"})


class Finding(BaseModel):
    """``what_to_do`` is empty where nothing is to be done; where it is not and ``ok`` is, it is a warning."""

    check: str
    ok: bool
    found: str
    what_to_do: str = ""


def check_up(settings: Settings) -> list[Finding]:
    """All findings, in the order in which to mend them."""
    return [
        *_check_gitlab(settings),
        _check_ledger(settings),
        *check_filesystem(settings),
        _check_embedder(settings),
    ]


def _check_gitlab(settings: Settings) -> Iterator[Finding]:
    try:
        gitlab = settings.gitlab
    except SettingsError as error:
        yield Finding(check="gitlab", ok=False, found="not configured", what_to_do=str(error))
        return
    try:
        version, scopes = asyncio.run(_ask_gitlab(settings))
    except GitLabError as error:
        yield Finding(check="gitlab", ok=False, found=f"{gitlab.url}: {error}", what_to_do=error.code.advice)
        return
    except ValueError as error:  # a CA bundle that is no PEM file
        yield Finding(check="gitlab", ok=False, found="not configured", what_to_do=str(error))
        return
    yield Finding(check="gitlab", ok=True, found=f"{gitlab.url}, version {version}")
    if scopes is None:
        yield Finding(check="token", ok=True, found="accepted; this GitLab does not tell its scopes")
    else:
        enough = bool(ENOUGH_SCOPES & set(scopes))
        advice = "" if enough else "Create a token with the scope read_api and set GITLAB_TOKEN."
        yield Finding(check="token", ok=enough, found=f"scopes {', '.join(scopes) or 'none'}", what_to_do=advice)


async def _ask_gitlab(settings: Settings) -> tuple[str, tuple[str, ...] | None]:
    async with open_gitlab(settings) as client:
        deadline = Deadline.after(TIMEOUT_SECONDS, time.monotonic)
        return await client.version(deadline), await client.token_scopes(deadline)


def _check_ledger(settings: Settings) -> Finding:
    try:
        ledger = open_ledger(settings, wait_at_most_seconds=TIMEOUT_SECONDS)
        existed = ledger.exists
        with ledger.write("doctor"):
            pass
    except SettingsError as error:
        return Finding(check="ledger", ok=False, found="cannot be used", what_to_do=str(error))
    except LedgerError as error:
        return Finding(check="ledger", ok=False, found=str(error), what_to_do=error.code.advice)
    state = "writable, schema current" if existed else "made, schema current"
    return Finding(check="ledger", ok=True, found=f"{ledger.location}, {state}")


def check_filesystem(settings: Settings, *, mounts: Path = MOUNTS) -> Iterator[Finding]:
    """A warning where locks and lasting writes are not promised; a local disk gives none."""
    with suppress(SettingsError):  # told already
        mount = mount_of_file(settings.ledger_path, mounts=mounts)
        if mount is not None and mount.is_remote:
            yield Finding(
                check="filesystem",
                ok=True,
                found=f"the ledger lies on {mount.point}, which is {mount.kind} ({mount.source})",
                what_to_do="Locks and lasting writes are not promised there, so runs can damage the file. "
                "Set SURGICAL_LEDGER to a path on a local disk.",
            )


def _check_embedder(settings: Settings) -> Finding:
    try:
        embedder = open_embedder(settings)
        embedder.embed(["a first word"])
    except SettingsError as error:
        return Finding(check="embedder", ok=False, found="not configured", what_to_do=str(error))
    except EmbedderError as error:
        return Finding(check="embedder", ok=False, found=str(error), what_to_do=error.code.advice)
    return Finding(check="embedder", ok=True, found=f"{embedder.name}, {embedder.dimension} dimensions")
