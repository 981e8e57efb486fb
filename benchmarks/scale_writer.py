"""One writer of `benchmarks.scale`: a process that writes to a ledger for a while, a window for each entity.

`python -m benchmarks.scale_writer NUMBER SECONDS` with SURGICAL_LEDGER in the environment. It says `ready`, begins
when a line comes in, and prints the milliseconds of each window as a line of JSON. NUMBER is its own: no two write
the same entity.
"""

import json
import sys
import time
from dataclasses import replace

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.integration.ledger.examples import entity

ENTITIES = 100
"""Of one writer, again and again: what is measured is a window and no growing table."""
PAYLOAD = json.dumps({"description": "word " * 400})


def main() -> None:
    number, seconds = int(sys.argv[1]), float(sys.argv[2])
    ledger = open_ledger(Settings.from_environment())
    records = [
        replace(entity(EntityKey(EntityType.ISSUE, iid), project_id=number), gitlab_id=number * ENTITIES + iid)
        for iid in range(1, ENTITIES + 1)
    ]
    with ledger.write("warm up"):
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    taken: list[float] = []
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        record = replace(records[len(taken) % ENTITIES], payload=PAYLOAD)
        with ledger.write("one entity") as tx:
            upsert_entities(tx, f"writer-{number}", [record])
        taken.append((time.monotonic() - began) * 1000)
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
