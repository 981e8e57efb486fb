"""What a check of `doctor` found."""

from pydantic import BaseModel


class Finding(BaseModel):
    """``what_to_do`` is empty if there is nothing to do; a finding with ``what_to_do`` and ``ok`` is a warning."""

    check: str
    ok: bool
    found: str
    what_to_do: str = ""
