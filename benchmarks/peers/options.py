"""How much is measured: the whole of it takes some 50 minutes on a quiet machine with two cores."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.peers.results import Section

TWICE_FROM = 1_000
ONCE_FROM = 5_000
"""Issues of one sync, from which on rounds take minutes."""


@dataclass(frozen=True)
class Options:
    """``sizes``: issues of one sync. ``latencies``: of an answer, in milliseconds.

    ``rounds``: of each that takes less than a minute.
    """

    sizes: Sequence[int] = (10, 100, 1_000)
    latencies: Sequence[int] = (0, 20, 100)
    rounds: int = 3
    loads: int = 200
    concurrent: Sequence[int] = (8, 32)
    growth: Sequence[int] = (100, 1_000, 10_000)
    texts: int = 2_000

    def rounds_of(self, size: int) -> int:
        """Of syncs of so many issues."""
        if size >= ONCE_FROM:
            return 1
        return self.fewer_rounds if size >= TWICE_FROM else self.rounds

    @property
    def fewer_rounds(self) -> int:
        """Of what takes minutes."""
        return min(2, self.rounds)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = Options()
    parser.add_argument("--sizes", type=int, nargs="+", default=known.sizes, help="issues of a targeted re-sync")
    parser.add_argument("--latencies", type=int, nargs="+", default=known.latencies, help="milliseconds an answer")
    parser.add_argument("--rounds", type=int, default=known.rounds, help="of each that takes less than a minute")
    parser.add_argument("--loads", type=int, default=known.loads, help="one-issue syncs in turn")
    parser.add_argument("--concurrent", type=int, nargs="+", default=known.concurrent, help="runs on one file")
    parser.add_argument("--growth", type=int, nargs="+", default=known.growth, help="issues of one sync")
    parser.add_argument("--texts", type=int, default=known.texts, help="texts to embed and to search")


def options_of(arguments: argparse.Namespace) -> Options:
    return Options(**{name: getattr(arguments, name) for name in Options.__dataclass_fields__})


def run_alone(section: Callable[[Options], Section]) -> None:
    """Print one section; results.md is written by `python -m benchmarks.peers` alone."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    print(section(options_of(parser.parse_args())))
