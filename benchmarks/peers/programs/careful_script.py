"""The script that a careful person would write: python-gitlab, 16 threads, upserts into DuckDB.

Runs in the peers' environment: `careful_script.py DATABASE PROJECT IID,IID,...`, with GITLAB_URL and GITLAB_TOKEN.
Issues come by `iids[]`, transient errors are tried again, one bad issue does not sink the others, an issue's rows
are replaced whole in one transaction, and rows go in as columns. Exit code 3 if something could not be fetched.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import gitlab
import pyarrow as pa
import requests
from requests.adapters import HTTPAdapter

THREADS = 16
BATCH = 100
TIMEOUT_SECONDS = 20
EVENTS = {
    "label_events": "resourcelabelevents",
    "state_events": "resourcestateevents",
    "milestone_events": "resourcemilestoneevents",
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS issues (
    id BIGINT PRIMARY KEY, iid BIGINT, title TEXT, state TEXT, updated_at TIMESTAMPTZ, payload JSON);
CREATE TABLE IF NOT EXISTS notes (
    id BIGINT PRIMARY KEY, iid BIGINT, discussion_id TEXT, body TEXT, updated_at TIMESTAMPTZ, payload JSON);
CREATE TABLE IF NOT EXISTS events (
    kind TEXT, id BIGINT, iid BIGINT, created_at TIMESTAMPTZ, payload JSON, PRIMARY KEY (kind, id));
"""
Rows = dict[str, list[dict[str, Any]]]


def client() -> gitlab.Gitlab:
    session = requests.Session()
    adapter = HTTPAdapter(pool_maxsize=THREADS)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return gitlab.Gitlab(
        os.environ["GITLAB_URL"],
        private_token=os.environ["GITLAB_TOKEN"],
        session=session,
        per_page=100,
        timeout=TIMEOUT_SECONDS,
        retry_transient_errors=True,
    )


def fetch(issue: Any) -> Rows:
    iid = issue.iid
    rows: Rows = {
        "issues": [
            {
                "id": issue.id,
                "iid": iid,
                "title": issue.title,
                "state": issue.state,
                "updated_at": issue.updated_at,
                "payload": json.dumps(issue.attributes),
            }
        ],
        "notes": [
            {
                "id": note["id"],
                "iid": iid,
                "discussion_id": discussion.id,
                "body": note["body"],
                "updated_at": note["updated_at"],
                "payload": json.dumps(note),
            }
            for discussion in issue.discussions.list(get_all=True)
            for note in discussion.attributes["notes"]
        ],
        "events": [
            {
                "kind": kind,
                "id": event.id,
                "iid": iid,
                "created_at": event.created_at,
                "payload": json.dumps(event.attributes),
            }
            for kind, manager in EVENTS.items()
            for event in getattr(issue, manager).list(get_all=True)
        ],
    }
    return rows


def fetch_all(project: str, iids: list[int]) -> tuple[Rows, list[str]]:
    of_project = client().projects.get(project, lazy=True)
    batches = [iids[start : start + BATCH] for start in range(0, len(iids), BATCH)]
    rows: Rows = {"issues": [], "notes": [], "events": []}
    failures: list[str] = []
    with ThreadPoolExecutor(THREADS) as threads:
        found = [
            one
            for batch in threads.map(lambda few: of_project.issues.list(iids=few, get_all=True), batches)
            for one in batch
        ]
        failures += [f"#{iid}: not found" for iid in sorted(set(iids) - {one.iid for one in found})]
        for issue, fetching in [(one, threads.submit(fetch, one)) for one in found]:
            try:
                fetched = fetching.result()
            except (gitlab.GitlabError, requests.RequestException) as error:
                failures.append(f"#{issue.iid}: {error}")
                continue
            for table, of_table in fetched.items():
                rows[table] += of_table
    return rows, failures


def save(database: str, rows: Rows) -> None:
    with duckdb.connect(database) as connection:
        connection.execute(SCHEMA)
        connection.execute("BEGIN")
        fetched = sorted({row["iid"] for row in rows["issues"]})
        for table in ("notes", "events"):
            connection.execute(f"DELETE FROM {table} WHERE list_contains(?, iid)", [fetched])
        for table, of_table in rows.items():
            if of_table:
                connection.register("incoming", pa.Table.from_pylist(of_table))
                columns = ", ".join(of_table[0])
                connection.execute(f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM incoming")
                connection.unregister("incoming")
        connection.execute("COMMIT")


def main() -> None:
    database, project, listed = sys.argv[1:4]
    began = time.monotonic()
    rows, failures = fetch_all(project, [int(iid) for iid in listed.split(",")])
    fetched = time.monotonic()
    save(database, rows)
    told = {"seconds": time.monotonic() - began, "fetching_seconds": fetched - began, "failures": failures}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.exit(3 if failures else 0)


if __name__ == "__main__":
    main()
