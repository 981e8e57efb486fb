"""What the pages of our assets and jobs in Dagster name for reading more."""

DOCS = "docs"
"""The name of that metadata."""


def read_more(page: str) -> dict[str, str]:
    """As metadata. ``page``: a file of this repository's docs, such as ``docs/data.md#issues``."""
    return {DOCS: page}
