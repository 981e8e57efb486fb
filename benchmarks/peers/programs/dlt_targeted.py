"""dlt's `rest_api` source fed with IIDs: issues with discussions and the three resource events into DuckDB.

Runs in the peers' environment: `dlt_targeted.py DATABASE PROJECT IID,IID,...`, with GITLAB_URL and GITLAB_TOKEN.
As a person who cares would have it: issues come by `iids[]`, a hundred a request; everything is parallelized over
16 workers, and each IID is fed as a page of its own, because dlt asks for what belongs to the rows of one page one
after the other; lists that nobody asked for as tables stay JSON, which spares dlt child tables; a 404 is ignored.
"""

import json
import os
import sys
import time

os.environ |= {
    "EXTRACT__WORKERS": "16",
    "EXTRACT__MAX_PARALLEL_ITEMS": "64",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
}

import dlt
from dlt.sources.rest_api import rest_api_resources

BATCH = 100
EVENTS = ("resource_label_events", "resource_state_events", "resource_milestone_events")


def resources(project: str, iids: list[int]) -> list:
    batches = [iids[start : start + BATCH] for start in range(0, len(iids), BATCH)]
    queries = [[{"query": "&".join(f"iids[]={iid}" for iid in batch)}] for batch in batches]
    targets = [[{"iid": iid}] for iid in iids]
    base = f"projects/{project.replace('/', '%2F')}/issues"

    def of_issue(name: str) -> dict:
        return {
            "name": name,
            "write_disposition": "merge",
            "primary_key": "id",
            "max_table_nesting": 1 if name == "discussions" else 0,
            "endpoint": {
                "path": f"{base}/{{resources.targets.iid}}/{name}",
                "params": {"per_page": 100},
                "response_actions": [{"status_code": 404, "action": "ignore"}],
            },
        }

    return rest_api_resources(
        {
            "client": {
                "base_url": f"{os.environ['GITLAB_URL']}/api/v4/",
                "headers": {"PRIVATE-TOKEN": os.environ["GITLAB_TOKEN"]},
                "paginator": "header_link",
            },
            "resource_defaults": {"parallelized": True},
            "resources": [
                dlt.resource(queries, name="batches", selected=False),
                dlt.resource(targets, name="targets", selected=False),
                {
                    "name": "issues",
                    "write_disposition": "merge",
                    "primary_key": "id",
                    "max_table_nesting": 0,
                    "endpoint": {"path": f"{base}?{{resources.batches.query}}&per_page=100"},
                },
                *(of_issue(name) for name in ("discussions", *EVENTS)),
            ],
        }
    )


def main() -> None:
    database, project, listed = sys.argv[1:4]
    loads = [[int(iid) for iid in load.split(",")] for load in listed.split(";")]
    pipeline = dlt.pipeline(
        "peers",
        destination=dlt.destinations.duckdb(database),
        dataset_name="gitlab",
        pipelines_dir=f"{database}.dlt",
    )
    seconds = []
    for iids in loads:
        began = time.monotonic()
        pipeline.run(resources(project, iids)).raise_on_failed_jobs()
        seconds.append(time.monotonic() - began)
    sys.stdout.write(json.dumps({"seconds": sum(seconds), "each": seconds}) + "\n")


if __name__ == "__main__":
    main()
