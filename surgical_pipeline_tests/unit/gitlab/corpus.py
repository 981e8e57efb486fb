"""Answers of real GitLab servers, which lie beside the repository and are not part of it."""

import json
from functools import cache
from pathlib import Path


@cache
def payloads(folder: Path, kind: str) -> tuple[dict[str, object], ...]:
    """Every payload of a kind; ``folder`` comes from the fixture ``gitlab_payloads``."""
    lines = (folder / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["payload"] for line in lines)
