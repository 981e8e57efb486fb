"""What nobody can go below: the same requests by a client that understands nothing, and waiting alone."""

import math
from collections.abc import Sequence
from urllib.parse import quote

from benchmarks import bare_client
from benchmarks.fetching import IN_FLIGHT
from benchmarks.peers.ours import PROJECT

BATCH = 100
DEPENDENTS = ("discussions", "resource_label_events", "resource_state_events", "resource_milestone_events")


def fewest_requests(issues: int) -> int:
    """The project, a list for each hundred, and of each issue the discussions and the three events."""
    return 1 + math.ceil(issues / BATCH) + len(DEPENDENTS) * issues


def seconds_of(iids: Sequence[int], *, latency_ms: int, url: str, token: str) -> float:
    """Of waiting for that many answers, 16 at a time; without latency, what a bare client takes to get them."""
    if latency_ms:
        return fewest_requests(len(iids)) * latency_ms / 1000 / IN_FLIGHT
    project = f"/api/v4/projects/{quote(PROJECT, safe='')}"
    lists = [iids[start : start + BATCH] for start in range(0, len(iids), BATCH)]
    paths = [project, *(f"{project}/issues?{_query(batch)}" for batch in lists)]
    paths += [f"{project}/issues/{iid}/{name}?per_page=100" for iid in iids for name in DEPENDENTS]
    return bare_client.seconds_of(paths, url=url, token=token, at_once=IN_FLIGHT)


def _query(iids: Sequence[int]) -> str:
    return "&".join(["per_page=100", *(f"iids%5B%5D={iid}" for iid in iids)])
