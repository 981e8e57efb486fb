"""The tokens of the sandbox. They are public and valid only in a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox.model import GUEST, REPORTER, Viewer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from surgical_pipeline.sandbox.model import Sample

SANDBOX_TOKEN: Final = "sandbox-token"  # noqa: S105 - public
SANDBOX_GUEST_TOKEN: Final = "sandbox-guest-token"  # noqa: S105 - public
SANDBOX_PROFILE_TOKEN: Final = "sandbox-profile-token"  # noqa: S105 - public
"""Has the scope `read_user` alone: 403 for everything about projects."""


def sample_viewers(sample: Sample) -> Mapping[str, Viewer]:
    """Who the tokens belong to: reporter, guest (no confidential issues), and a token for the profile only."""
    bot, guest = sample.users["orbit-sync"], sample.users["visitor"]
    readable = [key for key, project in sample.projects.items() if project.path.startswith("acme/")]
    reporter = dict.fromkeys(readable, REPORTER)
    return {
        SANDBOX_TOKEN: Viewer(bot, 601, "surgical sync", ("read_api",), reporter),
        SANDBOX_GUEST_TOKEN: Viewer(guest, 602, "visitor's laptop", ("read_api",), dict.fromkeys(readable, GUEST)),
        SANDBOX_PROFILE_TOKEN: Viewer(bot, 603, "profile only", ("read_user",), reporter),
    }
