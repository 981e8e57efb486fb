"""Where tests find the repository, and what they do when a part of the machine is missing."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def skip_or_fail(reason: str) -> None:
    """On a person's machine a missing part skips its tests; CI installs every part, so there it is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not skip: {reason}")
    pytest.skip(reason)
