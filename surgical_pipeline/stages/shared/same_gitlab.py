"""Whether the GitLab that answers is the one that the ledger belongs to, before anything else is fetched."""

from surgical_pipeline.domain.belonging import Belonging
from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.failures import Failure, FailureCode, StageFailedError
from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import GitLabError


async def project_of_ledger(
    path_or_id: str, *, gitlab: GitLabClient, belongs_to: Belonging, deadline: Deadline, stage: str
) -> ProjectRecord:
    """The project as GitLab returns it.

    Raises:
        StageFailedError: it cannot be read, or is another GitLab's.
    """
    try:
        project = await gitlab.project(path_or_id, deadline)
    except GitLabError as error:
        raise StageFailedError(error.as_failure(stage)) from error
    if objection := belongs_to.objection(project):
        raise StageFailedError(Failure(code=FailureCode.PROJECT_MISMATCH, message=objection, stage=stage))
    return project
