"""`python -m surgical_pipeline_tests.soak HARNESS`: each of them at length."""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from surgical_pipeline_tests.many_machines.hosts import alone
from surgical_pipeline_tests.soak.backfills import kill_backfill
from surgical_pipeline_tests.soak.cancellations import latencies
from surgical_pipeline_tests.soak.contention import contend
from surgical_pipeline_tests.soak.events import EventReport, kill_the_chain
from surgical_pipeline_tests.soak.first_runs import first_syncs, first_writes
from surgical_pipeline_tests.soak.hour import live_an_hour
from surgical_pipeline_tests.soak.installation import Installation, installed
from surgical_pipeline_tests.soak.interrupts import InterruptReport, interrupt_syncs
from surgical_pipeline_tests.soak.kills import KillReport, kill_syncs
from surgical_pipeline_tests.soak.partitions import run_partitions
from surgical_pipeline_tests.soak.readers import read_beside
from surgical_pipeline_tests.soak.webhook import LossReport, kill_receivers

BACKFILLED = "12-57,59-90"
"""Issues of the backfill that is killed; the sandbox has all of them."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument(
        "harness",
        choices=[
            "kills",
            "contention",
            "cancellations",
            "interrupts",
            "first_runs",
            "webhook",
            "events",
            "hour",
            "backfill",
            "readers",
            "partitions",
            "machines",
        ],
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--interrupts", type=int, default=150)
    parser.add_argument("--processes", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--held-seconds", type=float, default=30, help="webhook: how long a shell has the ledger")
    parser.add_argument("--seconds", type=float, default=300, help="events: how long there are edits and kills")
    parser.add_argument("--minutes", type=float, default=60, help="hour: how long it is")
    parser.add_argument("--syncs", type=int, default=50, help="readers: how many syncs there are beside them")
    parser.add_argument("--publishes", type=int, default=20, help="readers: and how many publishes")
    parser.add_argument("--partitions", type=int, default=3500, help="partitions: how many, each a run")
    parser.add_argument("--cut-seconds", type=float, default=60, help="machines: how long one has no database")
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.harness in ("events", "hour"):  # they have a sandbox of their own
        with tempfile.TemporaryDirectory() as folder:
            good = (_events if chosen.harness == "events" else _hour)(Path(folder), chosen)
        sys.exit(0 if good else 1)
    if chosen.harness == "machines":
        with tempfile.TemporaryDirectory() as folder:
            more = ("--cut-seconds", str(chosen.cut_seconds))
            done = subprocess.run(alone("surgical_pipeline_tests.many_machines", folder, *more), check=False)
        sys.exit(done.returncode)
    if chosen.harness == "backfill":
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(0 if _backfill(Path(folder), kills=min(chosen.kills, 5)) else 1)
    if chosen.harness == "partitions":
        with tempfile.TemporaryDirectory() as folder:
            processes = min(chosen.processes, 4)
            sys.exit(0 if _partitions(Path(folder), partitions=chosen.partitions, processes=processes) else 1)
    with tempfile.TemporaryDirectory() as folder, installed(Path(folder)) as installation:
        seed = chosen.seed
        harnesses = {
            "kills": lambda: _kills(installation, kills=chosen.kills, seed=seed),
            "interrupts": lambda: _interrupts(installation, interrupts=chosen.interrupts, seed=seed),
            "contention": lambda: _contention(installation, processes=chosen.processes, seed=seed),
            "first_runs": lambda: _first_runs(installation, processes=chosen.processes, rounds=chosen.rounds),
            "readers": lambda: _readers(installation, chosen),
            "webhook": lambda: _webhook(installation.home, chosen),
            "cancellations": lambda: _cancellations(installation, rounds=chosen.rounds),
        }
        good = harnesses[chosen.harness]()
    sys.exit(0 if good else 1)


def _kills(installation: Installation, *, kills: int, seed: int) -> bool:
    report = kill_syncs(installation, kills=kills, seed=seed, on_kill=_progress)
    _say(f"kills                                  {report.kills}")
    for phase, count in report.phases.most_common():
        _say(f"  {phase:<36} {count}")
    _say(f"violations                             {len(report.violations)}")
    for violation in report.violations[:20]:
        _say(f"  {violation}")
    if report.reaped_seconds:
        _say(f"from kill to WORKER_LOST, median s     {statistics.median(report.reaped_seconds):.1f}")
        _say(f"from kill to WORKER_LOST, longest s    {max(report.reaped_seconds):.1f}")
    return not report.violations


def _interrupts(installation: Installation, *, interrupts: int, seed: int) -> bool:
    report = interrupt_syncs(installation, interrupts=interrupts, seed=seed, on_interrupt=_interrupted)
    _say(f"interrupts                             {report.interrupts}")
    _say(f"that met a run                         {report.endings.total()}")
    for ending, count in report.endings.most_common():
        _say(f"  {ending:<52} {count}")
    _say(f"wrong                                  {len(report.wrong)}")
    for line in report.wrong[:20]:
        _say(f"  {line}")
    return not report.wrong


def _readers(installation: Installation, chosen: argparse.Namespace) -> bool:
    kills = min(chosen.kills, 20)
    report = read_beside(
        installation, syncs=chosen.syncs, publishes=chosen.publishes, kills=kills, seed=chosen.seed
    )
    _say(f"syncs, publishes, publishes killed     {chosen.syncs}, {len(report.windows_ms)}, {report.kills}")
    for name, reads in (("shell", report.shell), ("notebook", report.notebook)):
        _say(f"{name:<39}{reads.reads} reads of {len(reads.versions)} versions, {len(reads.wrong)} wrong")
    _say(f"a sync waited for the ledger, median ms {statistics.median(report.waits_ms):.1f}")
    _say(f"a sync waited for the ledger, most ms   {max(report.waits_ms):.1f}")
    _say(f"a publish held the ledger, most ms      {max(report.windows_ms):.1f}")
    _say(f"violations                             {len(report.violations)}")
    for violation in report.violations[:20]:
        _say(f"  {violation}")
    return not report.violations


def _backfill(home: Path, *, kills: int) -> bool:
    report = kill_backfill(home, issues=BACKFILLED, chunk=10, kills=kills)
    _say(f"kills of Dagster in a backfill         {report.kills}")
    _say(f"resumed                                {report.resumptions}")
    _say(f"runs by status                         {dict(report.runs)}")
    _say(f"violations                             {len(report.violations)}")
    for violation in report.violations[:20]:
        _say(f"  {violation}")
    return not report.violations


def _partitions(home: Path, *, partitions: int, processes: int) -> bool:
    report = run_partitions(home, partitions=partitions, processes=processes, chosen=partitions)
    _say(f"partitions, planned and registered in  {report.registered}, {report.launching_seconds:.1f} s")
    _say(f"runs by status                         {dict(report.runs)}")
    _say(f"failure codes                          {dict(report.codes) or 'none'}")
    _say(f"{processes} processes, s                         {report.seconds:.0f}")
    _say(f"a run, first and last, median ms       {report.first_ms:.0f}, {report.last_ms:.0f}")
    _say(f"longest wait of a run for the ledger   {report.waited_ms:.0f} ms")
    _say(f"counting what became of all, s         {report.counting_seconds:.1f}")
    _say(f"violations                             {len(report.violations)}")
    for violation in report.violations[:20]:
        _say(f"  {violation}")
    return report.runs == {"succeeded": partitions} and not (report.codes or report.violations)


def _interrupted(report: InterruptReport) -> None:
    if report.interrupts % 20 == 0:
        sys.stderr.write(f"{report.interrupts} interrupts, {len(report.wrong)} wrong\n")


def _progress(report: KillReport) -> None:
    if report.kills % 20 == 0:
        sys.stderr.write(f"{report.kills} kills, {len(report.violations)} violations\n")


def _contention(installation: Installation, *, processes: int, seed: int) -> bool:
    report = contend(installation, processes=processes, seed=seed)
    _say(f"processes                              {report.processes}")
    _say(f"runs by status                         {dict(report.statuses)}")
    _say(f"failure codes                          {dict(report.codes) or 'none'}")
    _say(f"lost updates                           {len(report.lost)}")
    _say(f"violations                             {len(report.violations)}")
    for line in (report.lost + report.violations)[:20]:
        _say(f"  {line}")
    _say(f"windows                                {len(report.all_waits_ms)}")
    _say(f"wait for the lock, p50 ms              {report.percentile_ms(0.5):.0f}")
    _say(f"wait for the lock, p99 ms              {report.percentile_ms(0.99):.0f}")
    _say(f"wait for the lock, longest ms          {report.all_waits_ms[-1]:.0f}")
    _say(f"fairness, Jain index of mean waits     {report.jain_index:.2f}")
    return not (report.lost or report.violations or report.codes)


def _cancellations(installation: Installation, *, rounds: int) -> bool:
    for moment, seconds in latencies(installation, rounds=rounds).items():
        _say(f"{moment:<38} {seconds:.2f} s")
    return True


def _first_runs(installation: Installation, *, processes: int, rounds: int) -> bool:
    wrong = first_syncs(installation, processes=processes, rounds=rounds)
    for number in range(rounds):
        for old in (False, True):
            path = installation.home / f"ledger-{number}-{old}.duckdb"
            wrong += first_writes(path, processes=processes, old=old)
    _say(f"first runs of {processes} processes, {rounds} rounds  {len(wrong)} failures")
    for line in wrong[:20]:
        _say(f"  {line}")
    return not wrong


def _webhook(home: Path, chosen: argparse.Namespace) -> bool:
    report = kill_receivers(
        home, kills=chosen.kills, seed=chosen.seed, held_seconds=chosen.held_seconds, on_kill=_receiver_killed
    )
    _say(f"kills                                  {report.kills}")
    _say(f"a shell had the ledger for s           {report.held_seconds:.0f}")
    _say(f"hooks sent                             {report.sent}")
    _say(f"answers                                {dict(report.answers)}")
    _say(f"events in the inbox                    {report.stored}, gaps in their numbers: {report.gaps}")
    _say(f"answered 200 and lost                  {len(report.lost)}")
    _say(f"twice, never sent                      {len(report.twice)}, {len(report.strangers)}")
    _say(f"answer, p50 ms                         {report.percentile_ms(50):.0f}")
    _say(f"answer, p99 ms                         {report.percentile_ms(99):.0f}")
    return not (report.lost or report.twice or report.strangers or report.gaps)


def _events(home: Path, chosen: argparse.Namespace) -> bool:
    report = kill_the_chain(home, seconds=chosen.seconds, seed=chosen.seed, on_kill=_part_killed)
    _say(f"kills                                  {report.kills.total()}")
    for kind, count in report.kills.most_common():
        _say(f"  {kind:<36} {count}")
    _say(f"edits                                  {report.edits.total()}")
    _say(f"events accepted                        {report.events.total()}, {dict(report.events)}")
    _say(f"runs by status                         {dict(report.runs)}")
    _say(f"failure codes                          {dict(report.failures) or 'none'}")
    _say(f"dead letters                           {report.events['dead']}")
    _say(f"differences and what goes on still     {len(report.rest)}")
    _say(f"violations                             {len(report.violations)}")
    for line in (report.rest + report.violations)[:20]:
        _say(f"  {line}")
    _say(f"from the last edit to rest, s          {report.rest_seconds:.0f}")
    return report.good


def _hour(home: Path, chosen: argparse.Namespace) -> bool:
    report = live_an_hour(home, minutes=chosen.minutes, seed=chosen.seed, tell=_tell)
    events, growth = report.events, report.growth
    _say(f"minutes                                {report.minutes:g}")
    _say(f"edits, events accepted                 {events.edits.total()}, {dict(events.events)}")
    _say(f"runs that are left, by status          {dict(events.runs)}")
    _say(f"kills                                  {dict(events.kills)}")
    _say(f"syncs of a person, by exit code        {dict(report.syncs)}")
    _say(f"backfills, by exit code                {dict(report.backfills)}, {report.resumed} times resumed")
    _say(f"prunes, by exit code                   {dict(report.prunes)}")
    _say(f"pruned                                 {dict(report.pruned)}")
    for one in growth.memories():
        size = f"{one.first_mb:.0f} to {one.last_mb:.0f} MB in {one.minutes:.1f} min"
        _say(f"{one.role:<38} {size}, {one.slope:+.1f} MB an hour once it is warm")
    quarters = [(growth.most_files(part / 4, (part + 1) / 4)) for part in range(4)]
    _say(f"most files in each quarter             {quarters}")
    if growth.home:
        _say(f"most bytes in DAGSTER_HOME             {max(one[2] for one in growth.home) / 1e6:.0f} MB")
        _say(f"most bytes in the ledger               {max(one[3] for one in growth.home) / 1e6:.1f} MB")
    _say(f"from the last edit to rest, s          {events.rest_seconds:.0f}")
    _say(f"not as it should be                    {len(report.wrong)}")
    for line in report.wrong[:20]:
        _say(f"  {line}")
    return not report.wrong


def _part_killed(report: EventReport) -> None:
    sys.stderr.write(f"killed so far: {dict(report.kills)}\n")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _receiver_killed(report: LossReport) -> None:
    sys.stderr.write(f"{report.kills} receivers killed\n")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
