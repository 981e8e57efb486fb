"""All comparisons with peers in one run on one machine; results.md from it with --write.

`python -m benchmarks.peers [--only targeted ...] [--write]`: about an hour as it stands, on a quiet machine.
"""

import argparse
import sys
from collections.abc import Callable

from benchmarks.peers import bad_iid, concurrency, embedding, growth, latency, small_loads, targeted
from benchmarks.peers.options import Options, add_arguments, options_of
from benchmarks.peers.results import Section, page, write

SECTIONS: dict[str, Callable[[Options], Section]] = {
    "targeted": targeted.section,
    "bad_iid": bad_iid.section,
    "concurrency": concurrency.section,
    "small_loads": small_loads.section,
    "latency": latency.section,
    "embedding": embedding.section,
    "growth": growth.section,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="which comparisons")
    parser.add_argument(
        "--write", action="store_true", help="write benchmarks/results.md; only of all comparisons"
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.write and set(arguments.only) != set(SECTIONS):
        parser.error("--write needs all comparisons: results.md is of one run")
    options = options_of(arguments)
    found = []
    for name in arguments.only:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        found.append(SECTIONS[name](options))
    if arguments.write:
        write(found, rounds=options.rounds)
    else:
        print(page(found, rounds=options.rounds))


if __name__ == "__main__":
    main()
