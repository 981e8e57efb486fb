"""Notes of an issue as a Dagster asset that dagster-duckdb's IO manager stores: a partition for each issue.

Loaded by `dagster asset materialize -f io_manager.py --select notes --partition IID` in the peers' environment.
The IO manager replaces the partition's rows.
"""

import os

import dagster as dg
import pandas as pd
import requests
from dagster_duckdb_pandas import DuckDBPandasIOManager

PAGES = f"{os.environ['GITLAB_URL']}/api/v4/projects/acme%2Frocket/issues"
NAMES = ("discussions", "resource_label_events", "resource_state_events", "resource_milestone_events")


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(os.environ["PEERS_IIDS"].split(",")),
    metadata={"partition_expr": "iid"},
)
def notes(context: dg.AssetExecutionContext) -> pd.DataFrame:
    iid = context.partition_key
    with requests.Session() as session:
        session.headers["PRIVATE-TOKEN"] = os.environ["GITLAB_TOKEN"]
        answers = {}
        for name in NAMES:
            answer = session.get(f"{PAGES}/{iid}/{name}", params={"per_page": 100}, timeout=60)
            answer.raise_for_status()
            answers[name] = answer.json()
    rows = [
        {"iid": iid, "id": note["id"], "body": note["body"], "updated_at": note["updated_at"]}
        for discussion in answers["discussions"]
        for note in discussion["notes"]
    ]
    return pd.DataFrame(rows, columns=["iid", "id", "body", "updated_at"])


defs = dg.Definitions(
    assets=[notes],
    resources={"io_manager": DuckDBPandasIOManager(database=os.environ["PEERS_DATABASE"], schema="gitlab")},
)
