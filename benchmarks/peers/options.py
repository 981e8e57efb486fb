"""How much is measured: the whole of it takes an hour on a quiet machine, a look at whether it works a minute."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.peers.results import Section

ONCE_FROM = 5_000


@dataclass(frozen=True)
class Options:
    """``sizes``: issues of one sync. ``latencies``: of an answer, in milliseconds. ``rounds``: of each."""

    sizes: Sequence[int] = (10, 100, 1_000)
    latencies: Sequence[int] = (0, 20, 100)
    rounds: int = 5
    loads: int = 200
    concurrent: Sequence[int] = (8, 32)
    growth: Sequence[int] = (100, 1_000, 10_000)
    texts: int = 5_000

    def rounds_of(self, size: int) -> int:
        """Large ones take minutes each."""
        return 1 if size >= ONCE_FROM else self.rounds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = Options()
    parser.add_argument("--sizes", type=int, nargs="+", default=known.sizes, help="issues of a targeted re-sync")
    parser.add_argument("--latencies", type=int, nargs="+", default=known.latencies, help="milliseconds an answer")
    parser.add_argument("--rounds", type=int, default=known.rounds, help="of each figure")
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
