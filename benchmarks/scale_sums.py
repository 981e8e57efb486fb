"""The sums of docs/scale.md, to be done again with other numbers: `python -m benchmarks.scale_sums --help`.

Nothing is measured here. Requests are the fewest that a sync can do with: lists of more than 100 rows take further
pages.
"""

import argparse
import math
from dataclasses import dataclass, fields

IN_FLIGHT = 16
TICKS_AN_HOUR = 120
DAYS_FROM_HOURS = 48
LISTS = 2
"""Of each watched entry, at each tick."""


@dataclass(frozen=True, slots=True)
class Given:
    """``*_kb``: of the ledger, by entity. ``latency_ms``: of one answer. Prices are examples."""

    issues: int = 700_000
    merge_requests: int = 300_000
    projects: int = 1_000
    chunk: int = 500
    requests_of_issue: int = 4
    requests_of_merge_request: int = 6
    changed_a_day: float = 0.01
    entries: int = 20
    latency_ms: int = 200
    ms_of_core: float = 14.0
    duckdb_kb: float = 28.5
    postgres_kb: float = 31.8
    vcpus: float = 1.5
    database_vcpus: float = 2.0
    copies: float = 3.0
    price_vcpu_hour: float = 0.04
    price_database_vcpu_hour: float = 0.10
    price_gb_month: float = 0.15

    @property
    def entities(self) -> int:
        return self.issues + self.merge_requests

    @property
    def runs(self) -> int:
        return self.projects * math.ceil(self.entities / self.projects / self.chunk)

    @property
    def all_at_first(self) -> int:
        """Requests: dependents, a batch for each hundred entities, and for each run its project."""
        dependents = self.issues * self.requests_of_issue + self.merge_requests * self.requests_of_merge_request
        return dependents + self.unchanged

    @property
    def unchanged(self) -> int:
        """Requests for all with `only_changed`, if nothing changed."""
        return math.ceil(self.entities / 100) + self.runs

    @property
    def changed(self) -> int:
        """Requests a day for what changes, if runs of sensors have one entity each."""
        each = (self.all_at_first - self.unchanged) / self.entities
        return round(self.entities * self.changed_a_day * (each + 2))

    @property
    def polling(self) -> int:
        """Requests a day for the lists of watched entries; none with webhooks alone."""
        return self.entries * LISTS * TICKS_AN_HOUR * 24


LIMITS = {
    "gitlab.com: 2,000 a minute": 2_000 * 60,
    "Dedicated for 1,000 users: 1,200 a minute": 1_200 * 60,
    "self-managed, switched on: 7,200 an hour": 7_200,
}
"""Requests an hour of one user, as GitLab documents them."""


def rows(given: Given) -> list[str]:
    """The tables of docs/scale.md, line by line."""
    counted = {
        "all, for the first time": given.all_at_first,
        "all with `only_changed`, nothing changed": given.unchanged,
        f"{given.changed_a_day:.0%} changed, a day": given.changed,
        f"lists of {given.entries} watched entries, a day": given.polling,
    }
    found = [f"| {what} | {number:,} |" for what, number in counted.items()]
    for limit, per_hour in LIMITS.items():
        hours = [number / per_hour for number in counted.values()]
        found.append(f"| {limit} | {' | '.join(duration(one) for one in hours)} |")
    core = duration(given.entities * given.ms_of_core / 3.6e6)
    per_run = IN_FLIGHT * 1000 / given.latency_ms
    fastest = max(LIMITS.values()) / 3600
    found += [
        f"| requests a second of one run, {IN_FLIGHT} in flight at {given.latency_ms} ms | {per_run:.0f} |",
        f"| requests a second that gitlab.com's limit allows | {fastest:.1f} |",
        f"| runs at once that use that limit up | {math.ceil(fastest / per_run)} |",
        f"| all without a limit, one run at a time | {duration(given.all_at_first / per_run / 3600)} |",
        f"| core time of all, at {given.ms_of_core:.0f} ms | {core} |",
    ]
    for name, kb in (("DuckDB", given.duckdb_kb), ("PostgreSQL", given.postgres_kb)):
        found.append(f"| {name} | {kb} | {given.entities * kb / 1e6:.1f} |")
    return found + money(given)


def money(given: Given) -> list[str]:
    month = 730
    gigabytes = given.entities * given.postgres_kb / 1e6 * given.copies
    parts = {
        f"pods: {given.vcpus} vCPU for {month} h": given.vcpus * month * given.price_vcpu_hour,
        f"PostgreSQL: {given.database_vcpus:.0f} vCPU for {month} h": given.database_vcpus
        * month
        * given.price_database_vcpu_hour,
        f"disk: {gigabytes:.1f} GB": gigabytes * given.price_gb_month,
    }
    return [
        *(f"| {what} | {price:.0f} |" for what, price in parts.items()),
        f"| together | {sum(parts.values()):.0f} |",
    ]


def duration(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < DAYS_FROM_HOURS else f"{hours / 24:.1f} days"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for one in fields(Given):
        kind = int if isinstance(one.default, int) else float
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=kind, default=one.default)
    print("\n".join(rows(Given(**vars(parser.parse_args())))))


if __name__ == "__main__":
    main()
