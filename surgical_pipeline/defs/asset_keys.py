"""The keys of our assets, all of them, with the prefix that SURGICAL_ASSET_KEY_PREFIX gives them."""

import re

import dagster as dg

from surgical_pipeline.settings import Settings, SettingsError

_PART = re.compile(r"[A-Za-z0-9_-]+")


def prefix_of(settings: Settings) -> tuple[str, ...]:
    """What the keys begin with; empty if it is not set.

    Raises:
        SettingsError: it is not names with slashes between.
    """
    text = settings.text("SURGICAL_ASSET_KEY_PREFIX")
    parts = tuple(text.split("/")) if text else ()
    if not all(map(_PART.fullmatch, parts)):
        raise SettingsError(
            f"SURGICAL_ASSET_KEY_PREFIX: {text!r} is not one or more names of letters, digits, _ and - with "
            "slashes between, such as raw or data/raw"
        )
    return parts


def asset_key(*path: str) -> dg.AssetKey:
    """A key of ours in this installation.

    Raises:
        SettingsError: the prefix can be no part of a key.
    """
    return dg.AssetKey([*prefix_of(Settings.from_environment()), *path])


ISSUES = asset_key("gitlab", "issues")
MERGE_REQUESTS = asset_key("gitlab", "merge_requests")
DISCUSSIONS = asset_key("gitlab", "discussions")
RESOURCE_EVENTS = asset_key("gitlab", "resource_events")
DOCUMENTS = asset_key("documents")
EMBEDDINGS = asset_key("embeddings")

GITLAB = (ISSUES, MERGE_REQUESTS, DISCUSSIONS, RESOURCE_EVENTS)
"""What is as GitLab has it."""
ASSETS = (*GITLAB, DOCUMENTS, EMBEDDINGS)
"""All that a run keeps up to date."""

REPORT = asset_key("report")
PUBLISHED = asset_key("published")
