"""Events a second that the receiver makes durable, and how long its answers take: alone, and beside a held ledger.

Hooks come from a second process, each on a connection of its own as GitLab has it, so many at a time. "Paced"
sends 50 a second, which tells how long GitLab waits; the others send as fast as answers come.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.ledger.processes import beside
from surgical_pipeline_tests.receiver_process import SECRET, ReceiverProcess

PACED_RATE = 50
SECONDS = 10.0


def main() -> None:
    print(f"{'':<34}{'events/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'longest':>9}{'not 2xx':>9}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with DuckDBLedger(home / "ledger.duckdb").write("make"):
            pass
        with ReceiverProcess(home) as receiver:
            measure("warming up", receiver, rate=0, clients=4, seconds=2)
            measure(f"paced, {PACED_RATE} a second", receiver, rate=PACED_RATE, clients=0)
            for clients in (1, 4, 16, 64):
                measure(f"{clients} at a time", receiver, rate=0, clients=clients)
            with beside("hold_shell", home / "ledger.duckdb"):
                measure("paced, a shell has the ledger", receiver, rate=PACED_RATE, clients=0)
            with windows_one_after_the_other(home / "ledger.duckdb"):
                measure("paced, beside windows of 2 s", receiver, rate=PACED_RATE, clients=0)
            began = time.monotonic()
            receiver.await_drained(seconds=120)
            print(f"drained {time.monotonic() - began:.1f} s after the last of them")


def measure(name: str, receiver: ReceiverProcess, *, rate: int, clients: int, seconds: float = SECONDS) -> None:
    command = [sys.executable, "-m", "benchmarks.webhook"]
    command += [receiver.url, str(rate), str(clients), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    failed, *taken = (float(word) for word in done.stdout.split())
    hundredths = statistics.quantiles(taken, n=100)
    figures = f"{hundredths[49]:>8.1f}{hundredths[98]:>8.1f}{max(taken):>9.1f}{failed:>9.0f}"
    print(f"{name:<34}{len(taken) / seconds:>9.0f}{figures}", flush=True)


@contextmanager
def windows_one_after_the_other(ledger: Path) -> Iterator[None]:
    """As a large sync has them, each of two seconds."""
    stopped = threading.Event()

    def windows() -> None:
        while not stopped.is_set():
            with DuckDBLedger(ledger).write("long"):
                stopped.wait(2)

    thread = threading.Thread(target=windows)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


async def send(url: str, *, rate: int, clients: int, seconds: float) -> None:
    """Print how many answers were not 2xx, then the milliseconds of each that was."""
    taken: list[float] = []
    failed = 0
    numbers = iter(range(10**9))
    run = f"{time.time_ns()}"

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal failed
        number = next(numbers)
        hook = {"object_kind": "issue", "project_id": 7, "object_attributes": {"iid": number % 500 + 1}}
        began = time.monotonic()
        headers = {"X-Gitlab-Token": SECRET, "Idempotency-Key": f"{run}-{number}"}
        answer = await client.post(url, json=hook, headers=headers)
        if answer.status_code == httpx.codes.OK:
            taken.append((time.monotonic() - began) * 1000)
        else:
            failed += 1

    async def keep_sending(client: httpx.AsyncClient, end: float) -> None:
        while time.monotonic() < end:
            await one(client)

    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=10, limits=limits) as client:
        end = time.monotonic() + seconds
        if clients:
            await asyncio.gather(*(keep_sending(client, end) for _ in range(clients)))
        else:
            tasks, due = [], time.monotonic()
            while time.monotonic() < end:
                tasks.append(asyncio.create_task(one(client)))
                due += 1 / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.gather(*tasks)
    print(failed, *(f"{one:.2f}" for one in taken))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(send(sys.argv[1], rate=int(sys.argv[2]), clients=int(sys.argv[3]), seconds=float(sys.argv[4])))
    else:
        main()
