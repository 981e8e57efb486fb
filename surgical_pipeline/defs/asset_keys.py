"""The keys of our assets, all of them, with the prefix that SURGICAL_ASSET_KEY_PREFIX gives them."""

import dagster as dg

from surgical_pipeline.settings import Settings


def asset_key(*path: str) -> dg.AssetKey:
    """A key of ours in this installation.

    Raises:
        SettingsError: the prefix can be no part of a key.
    """
    return dg.AssetKey([*Settings.from_environment().asset_key_prefix, *path])


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
