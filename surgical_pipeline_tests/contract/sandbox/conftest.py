from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import gitlab
import httpx
import pytest
from jsonschema import Draft7Validator

from surgical_pipeline.sandbox.server import RunningSandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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
def validate(gitlab_payloads: Path) -> Callable[[str, Any], None]:
    """Holds a payload to one of GitLab's own schemas."""

    @cache
    def validator(name: str) -> Draft7Validator:
        return Draft7Validator(json.loads((gitlab_payloads / "schemas" / f"{name}.schema.json").read_text()))

    def check(name: str, payload: Any) -> None:
        validator(name).validate(payload)

    return check
