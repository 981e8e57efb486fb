"""A ledger belongs to one GitLab: ids of issues, notes and projects mean something within one GitLab only.

GitLab reports its own address in a project's ``web_url``; ``GITLAB_URL`` may differ, as behind a tunnel. Nothing
in its answers distinguishes a GitLab that has moved to another host from a copy: both have the same ids and times.
So another host is refused until a person says that GitLab has moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from surgical_pipeline.domain.freshness import shown_time
from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.domain.web_address import same_gitlab

_ONE_SECOND = timedelta(seconds=1)
"""Old servers send times without milliseconds."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a ledger knows about its GitLab. ``gitlab_url``: None until a project has reported it.

    ``created_at``: when GitLab created the projects, by their ids, where known.
    """

    gitlab_url: str | None = None
    created_at: Mapping[int, datetime] = field(default_factory=dict)

    def objection(self, project: ProjectRecord) -> str | None:
        """Why ``project`` cannot belong to the ledger's GitLab, and what to do; None if nothing says so.

        What either side does not know is not compared.
        """
        if self.is_another(project.gitlab_url):
            return (
                f"the ledger belongs to the GitLab at {self.gitlab_url}, and this one says that it is "
                f"{project.gitlab_url}. Another GitLab needs a ledger of its own (SURGICAL_LEDGER); if GitLab has "
                f"moved, tell the ledger: `surgical-pipeline ledger rebase --gitlab {project.gitlab_url}`"
            )
        known = self.created_at.get(project.project_id)
        if known and project.created_at and abs(project.created_at - known) >= _ONE_SECOND:
            return (
                f"project {project.project_id} was created at {shown_time(known)} in the GitLab that the ledger "
                f"belongs to{_named(self.gitlab_url)}, and at {shown_time(project.created_at)} in this one"
                f"{_named(project.gitlab_url)}: this is another GitLab and needs a ledger of its own "
                "(SURGICAL_LEDGER)"
            )
        return None

    def is_another(self, gitlab_url: str | None) -> bool:
        """Whether a GitLab that reports this address is certainly not the ledger's."""
        if self.gitlab_url is None or gitlab_url is None:
            return False
        return not same_gitlab(self.gitlab_url, gitlab_url)


NOTHING_KNOWN = Belonging()


def _named(gitlab_url: str | None) -> str:
    return f", {gitlab_url}" if gitlab_url else ""
