"""Which GitLab a ledger belongs to: known from the first project written, changed only by a person."""

from surgical_pipeline.domain.belonging import Belonging
from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.ledger.protocol import Transaction


def load_belonging(tx: Transaction, project_id: int | None = None) -> Belonging:
    """What the ledger knows about its GitLab, and about this project or (None) every project in it."""
    known = tx.column("load_ledger_gitlab")
    created = tx.execute("load_creations", project_id=project_id)
    return Belonging(known[0] if known else None, dict(created))


def claim(tx: Transaction, run_id: str, project: ProjectRecord) -> str | None:
    """Have the ledger belong to the project's GitLab if it belongs to none yet.

    Call it in the window that writes the project, before anything else of the project. Returns why the project
    must not be written if the ledger belongs to another GitLab.
    """
    known = load_belonging(tx, project.project_id)
    objection = known.objection(project)
    if objection is None and known.gitlab_url is None and project.gitlab_url is not None:
        claimed = tx.execute("claim_ledger", gitlab_url=project.gitlab_url, now=tx.now, run_id=run_id)
        if not claimed:  # another run was first, a moment ago
            return load_belonging(tx, project.project_id).objection(project)
    return objection


def rebase(tx: Transaction, gitlab_url: str) -> str | None:
    """Have the ledger belong to that GitLab from now on; returns the previous one."""
    before = load_belonging(tx).gitlab_url
    tx.execute("rebase_ledger", gitlab_url=gitlab_url, now=tx.now)
    return before
