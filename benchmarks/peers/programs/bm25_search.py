"""Searches by words with bm25s: `bm25_search.py TEXTS`, a JSON file of texts and queries."""

import json
import statistics
import sys
import time
from pathlib import Path

import bm25s

BEST = 10


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    began = time.monotonic()
    index = bm25s.BM25()
    index.index(bm25s.tokenize(given["texts"], show_progress=False), show_progress=False)
    indexed = time.monotonic() - began
    each = []
    for query in given["queries"]:
        began = time.monotonic()
        index.retrieve(bm25s.tokenize(query, show_progress=False), k=BEST, show_progress=False)
        each.append(time.monotonic() - began)
    told = {"indexing_seconds": indexed, "search_ms": 1000 * statistics.median(each)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
