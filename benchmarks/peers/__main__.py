"""All comparisons with peers in one run on one machine; results.md from it with --write.

`python -m benchmarks.peers [--only targeted ...] [--write] [--continue]`: about 50 minutes as it stands, on a
quiet machine with two cores. Each part is kept in `.peers/parts/` when it ends; if the run is stopped, the same
command with `--continue` takes those that are there and measures the others.
"""

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks.peers import (
    bad_iid,
    concurrency,
    embedding,
    growth,
    latency,
    parts,
    refresh,
    small_loads,
    targeted,
)
from benchmarks.peers.options import Options, add_arguments, options_of
from benchmarks.peers.results import Section, page, write

SECTIONS: dict[str, Callable[[Options], Section]] = {
    "targeted": targeted.section,
    "bad_iid": bad_iid.section,
    "refresh": refresh.section,
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
    parser.add_argument(
        "--continue", action="store_true", dest="goes_on", help="measure only what a stopped run did not"
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.write and set(arguments.only) != set(SECTIONS):
        parser.error("--write needs all comparisons: results.md is of one run")
    options = options_of(arguments)
    found = [part(name, options, goes_on=arguments.goes_on) for name in arguments.only]
    if arguments.write:
        write(found, rounds=options.rounds)
    else:
        print(page(found, rounds=options.rounds))


def part(name: str, options: Options, *, goes_on: bool) -> Section:
    """Measured, or what was kept of it."""
    if goes_on and (section := parts.kept(name, options)) is not None:
        print(f"kept: {name}", file=sys.stderr, flush=True)
        return section
    print(f"measuring: {name}", file=sys.stderr, flush=True)
    when, began = parts.now(), time.monotonic()
    section = SECTIONS[name](options)
    section.measured = when
    parts.keep(name, section, options)
    print(f"measured: {name}, in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return section


if __name__ == "__main__":
    main()
