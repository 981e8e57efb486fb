"""A record that makes every answer it is in go wrong, as GitLab has them."""

import httpx
import pytest

from surgical_pipeline.sandbox.server import RunningSandbox

ISSUES = "/projects/4201/issues"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"{ISSUES}?iids[]=12&iids[]=1", 500),
        (f"{ISSUES}?iids[]=120&iids[]=112", 200),
        (f"{ISSUES}/12", 500),
        (f"{ISSUES}/112", 200),
        (f"{ISSUES}/12/discussions", 200),
        ("/projects/4201", 200),
    ],
)
def test_a_fault_of_one_record_hits_what_asks_for_it(
    api: httpx.Client, sandbox: RunningSandbox, address: str, status: int
) -> None:
    sandbox.control.add_fault("*", iid=12, status=500)
    assert api.get(address).status_code == status
