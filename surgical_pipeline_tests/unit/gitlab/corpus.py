"""Answers of real GitLab servers, which lie beside the repository and are not part of it."""

import json
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "gitlab_payloads"


@cache
def payloads(kind: str) -> tuple[dict[str, object], ...]:
    """Every payload of a kind; skips the test where the folder is missing."""
    if not FOLDER.is_dir():
        pytest.skip(f"the payloads of real GitLab servers are not at {FOLDER.parent.name}/{FOLDER.name}")
    lines = (FOLDER / f"{kind}.jsonl").read_text().splitlines()
    return tuple(json.loads(line)["payload"] for line in lines)
