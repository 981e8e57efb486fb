from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gitlab
import httpx
import pytest
from jsonschema import Draft7Validator

from surgical_pipeline.sandbox.server import RunningSandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMAS = Path(__file__).resolve().parents[4] / "shared" / "gitlab_payloads" / "schemas"


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSandbox]:
    with RunningSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    """The shared server, back to its sample."""
    running.control.reset()
    return running


@pytest.fixture
def gl(sandbox: RunningSandbox) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(sandbox.url, private_token=sandbox.token, keep_base_url=True) as client:
        yield client


@pytest.fixture
def api(sandbox: RunningSandbox) -> Iterator[httpx.Client]:
    with client_for(sandbox, sandbox.token) as client:
        yield client


@pytest.fixture
def guest(sandbox: RunningSandbox) -> Iterator[httpx.Client]:
    with client_for(sandbox, sandbox.guest_token) as client:
        yield client


def client_for(sandbox: RunningSandbox, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{sandbox.url}/api/v4", headers={"PRIVATE-TOKEN": token}, timeout=10, trust_env=False
    )


@pytest.fixture(scope="session")
def validate() -> Callable[[str, Any], None]:
    """Holds a payload to one of GitLab's own schemas."""
    if not SCHEMAS.is_dir():
        pytest.skip(f"GitLab's schemas are not beside the checkout ({SCHEMAS})")
    validators: dict[str, Draft7Validator] = {}

    def check(name: str, payload: Any) -> None:
        if name not in validators:
            schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
            validators[name] = Draft7Validator(schema)
        validators[name].validate(payload)

    return check
