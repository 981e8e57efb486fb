"""kill -9 of the receiver under load, beside a DuckDB shell: what was answered 2xx is in the inbox, once."""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.ledger.processes import beside
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.receiver_process import SECRET, ReceiverProcess

RATE = 50
"""Hooks a second, about what GitLab.com's largest plan sends at most."""
TIMEOUT_SECONDS = 10.0


@dataclass
class LossReport:
    """``lost``: keys answered 2xx that are not in the inbox; ``seconds``: of the answers with 2xx, in order."""

    kills: int = 0
    held_seconds: float = 0.0
    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    gaps: int = 0
    seconds: list[float] = field(default_factory=list)

    def percentile_ms(self, percent: int) -> float:
        return statistics.quantiles(self.seconds, n=100)[percent - 1] * 1000


def kill_receivers(
    home: Path,
    *,
    kills: int,
    seed: int,
    held_seconds: float,
    on_kill: Callable[[LossReport], None] = lambda _report: None,
) -> LossReport:
    """Kill so many receivers, each up to three seconds after it listens, while a second process sends hooks.

    After a third of the kills a shell opens the ledger, for ``held_seconds``.
    """
    dice, report = random.Random(seed), LossReport(held_seconds=held_seconds)
    ledger = home / "ledger.duckdb"
    with DuckDBLedger(ledger).write("make"):
        pass
    with _load(home) as stop_load:
        holder: threading.Thread | None = None
        for number in range(kills):
            with ReceiverProcess(home) as receiver:
                _announce(home, receiver.url)
                if number == kills // 3:
                    holder = threading.Thread(target=_hold, args=(ledger, held_seconds))
                    holder.start()
                time.sleep(dice.uniform(0, 3))
            report.kills += 1
            on_kill(report)
        with ReceiverProcess(home) as receiver:
            _announce(home, receiver.url)
            if holder is not None:
                holder.join()
            time.sleep(1)
            stop_load()
            receiver.await_drained()
            receiver.stop()
    _compare(report, home)
    return report


def _announce(home: Path, url: str) -> None:
    fresh = home / "url.new"
    fresh.write_text(url, encoding="utf-8")
    fresh.replace(home / "url")


def _hold(ledger: Path, seconds: float) -> None:
    """What somebody does who leaves a DuckDB shell open; it takes turns with the windows to get in."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with beside("hold_shell", ledger):
                time.sleep(seconds)
                return
        except AssertionError:  # refused: a window was open
            time.sleep(0.05)
    raise AssertionError("the shell never got the ledger")


@contextmanager
def _load(home: Path) -> Iterator[Callable[[], None]]:
    """The second process; gives what makes it stop after the hooks that are under way."""
    command = [sys.executable, "-m", __name__, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:

        def stop() -> None:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0

        try:
            yield stop
        finally:
            process.kill()


def _compare(report: LossReport, home: Path) -> None:
    answers = [json.loads(line) for line in (home / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    report.sent = len(answers)
    report.answers = Counter(answer["answer"] for answer in answers)
    report.seconds = sorted(answer["seconds"] for answer in answers if answer["answer"] == "200")
    stored = Counter(str(row[0]) for row in query(home / "ledger.duckdb", "SELECT event_key FROM gitlab_events"))
    numbers = [row[0] for row in query(home / "ledger.duckdb", "SELECT seq FROM gitlab_events ORDER BY seq")]
    report.stored = len(numbers)
    report.gaps = len(set(range(1, len(numbers) + 1)) ^ set(numbers))
    promised = [answer["key"] for answer in answers if answer["answer"] == "200"]
    report.lost = [key for key in promised if key not in stored]
    report.twice = [key for key, count in stored.items() if count > 1]
    report.strangers = sorted(set(stored) - {answer["key"] for answer in answers})


async def send_until_stopped(home: Path) -> None:
    """Send ``RATE`` hooks a second to the address in the file ``url``, and note what each was answered."""
    stopped = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    tasks: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_keepalive_connections=0)
    with (home / "answers.jsonl").open("w", encoding="utf-8", buffering=1) as notes:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits) as client:

            async def send(number: int, url: str) -> None:
                key, began = f"delivery-{number}", time.monotonic()
                hook = {"object_kind": "issue", "project_id": 7, "object_attributes": {"iid": number % 500 + 1}}
                headers = {"X-Gitlab-Token": SECRET, "Idempotency-Key": key}
                try:
                    answer = str((await client.post(url, json=hook, headers=headers)).status_code)
                except httpx.TransportError as error:
                    answer = type(error).__name__
                note = {"key": key, "answer": answer, "seconds": time.monotonic() - began}
                notes.write(json.dumps(note) + "\n")

            number, due = 0, time.monotonic()
            while not stopped.done():
                if (home / "url").exists():
                    number += 1
                    task = asyncio.create_task(send(number, (home / "url").read_text(encoding="utf-8")))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                due += 1 / RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(send_until_stopped(Path(sys.argv[1])))
