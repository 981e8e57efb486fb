"""An upgrade of Dagster may move what is private: then this says what was lost, and what for."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import surgical_pipeline

MODULE = Path(surgical_pipeline.__file__).with_name("defs") / "dagster_internals.py"


def private_names() -> Iterator[tuple[str, str, str]]:
    """Module and name of each import, with the comment above it."""
    source = MODULE.read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            above = node.lineno - 1
            while lines[above - 1].startswith("# "):
                above -= 1
            reason = " ".join(line.removeprefix("# ") for line in lines[above : node.lineno - 1])
            for alias in node.names:
                yield node.module, alias.name, reason


@pytest.mark.parametrize(("module", "name", "reason"), list(private_names()))
def test_dagster_still_has_what_we_take_from_its_private_modules(module: str, name: str, reason: str) -> None:
    assert reason, f"no comment above {name} says why there is no public way"
    try:
        getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        pytest.fail(f"Dagster {dg.__version__} has no {module}.{name} any more. Why it was needed: {reason}")


def test_there_is_still_no_public_way() -> None:
    """Once Dagster exports a name, it goes from our list."""
    assert [name for _, name, _ in private_names() if hasattr(dg, name)] == []
