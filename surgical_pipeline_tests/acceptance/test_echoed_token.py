"""A GitLab that puts our token into every header and body that it sends: nothing that a run leaves holds it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from surgical_pipeline.gitlab.foreign import ForeignText
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.test_secrets import everything_in
from surgical_pipeline_tests.ledger_dump import query

TOKEN = "glpat-Echo-of-nobody-42"
IN_CAPITALS = TOKEN.upper()
IN_PERCENT = quote(TOKEN.replace("-", "%2D"))
PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
ECHOES = {"X-Echo": TOKEN, "Server": IN_CAPITALS, "X-Request-Id": IN_PERCENT, "Set-Cookie": f"token={TOKEN}"}


@pytest.fixture
def echoing(home: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    viewers = sandbox.app.state.viewers
    viewers[TOKEN] = viewers[sandbox.token]
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    yield home
    del viewers[TOKEN]


def sync(home: Path, scope: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "sync", scope, "--json", "--verbose"]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def test_no_token_that_a_server_echoes_is_in_what_runs_leave_behind(
    echoing: Path, sandbox: RunningSandbox
) -> None:
    control = sandbox.control
    control.update_issue(12, title=f"echo {TOKEN}", description=f"{IN_CAPITALS} and {IN_PERCENT}")
    control.add_note(12, f"The header was PRIVATE-TOKEN: {TOKEN}.")
    control.update_merge_request(34, title=IN_PERCENT)
    issues, merge_requests = "*/issues", "*/merge_requests"
    control.add_fault(f"{issues}/13/discussions", headers=ECHOES | {"Content-Type": f"text/{TOKEN}"})
    control.add_fault(
        f"{issues}/13/resource_label_events",
        status=302,
        headers=ECHOES | {"Location": f"https://{TOKEN}.example/{IN_CAPITALS}"},
    )
    control.add_fault(
        f"{issues}/13/resource_state_events",
        headers=ECHOES | {"Link": f'<https://{TOKEN}.example/api/v4/projects/1/{TOKEN}?t={TOKEN}>; rel="next"'},
    )
    control.add_fault(
        f"{issues}/13/resource_milestone_events", status=403, body=f'{{"message": "{IN_PERCENT} may not"}}'
    )
    control.add_fault(f"{merge_requests}/34/discussions", headers=ECHOES | {"Content-Encoding": TOKEN})
    control.add_fault(f"{merge_requests}/34/resource_label_events", status=400, body=f'{{"error": "{TOKEN}"}}')
    control.add_fault("*", headers=ECHOES)
    done = [sync(echoing, "acme/rocket#12-13!34")]
    control.clear_faults()
    control.add_fault(
        "*/projects/acme*", status=401, headers=ECHOES, body=f'{{"message": "{IN_CAPITALS} expired"}}'
    )
    done.append(sync(echoing, "acme/rocket#12"))

    assert [one.returncode for one in done] == [3, 1]
    told = "".join(one.stdout + one.stderr for one in done)
    assert told.count("[token]") > 4
    titles = query(echoing / "ledger.duckdb", "SELECT title FROM issues WHERE iid = 12")
    assert titles == [("echo [token]",)]
    foreign = ForeignText(TOKEN)
    assert not foreign.holds_token(told.encode())
    assert {name for name, content in everything_in(echoing) if foreign.holds_token(content)} == set()
