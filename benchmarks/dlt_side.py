"""What dlt does, run by `benchmarks.dataset_beside_dlt` in an environment that has dlt and nothing of ours.

Loads the payload in a file as so many issues into DuckDB, and reads them as a DataFrame. Prints one JSON object.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt  # type: ignore[import-not-found]

ROUNDS = 3


def main(payload: dict[str, Any], issues: int, folder: Path) -> None:
    def rows() -> Iterator[list[dict[str, Any]]]:
        for start in range(0, issues, 1000):
            yield [
                {**payload, "id": 1001 + at, "iid": 1 + at, "title": f"Issue {1 + at}"}
                for at in range(start, min(issues, start + 1000))
            ]

    pipeline = dlt.pipeline(
        "beside",
        destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
        dataset_name="gitlab",
        pipelines_dir=str(folder / "pipelines"),
    )
    began = time.perf_counter()
    pipeline.run(rows(), table_name="issues", primary_key="id")
    loaded = time.perf_counter() - began
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        frame = pipeline.dataset().issues.df()
        took.append(time.perf_counter() - began)
    dtypes = sorted({str(one) for one in frame.dtypes})
    print(
        json.dumps(
            {"load": loaded, "read": min(took), "rows": len(frame), "columns": frame.shape[1], "dtypes": dtypes}
        )
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), int(sys.argv[2]), Path(sys.argv[3]))
