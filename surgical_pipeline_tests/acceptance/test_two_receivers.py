"""Two receivers behind one address, each with a spool on its own machine, and one ledger in PostgreSQL."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.postgres_server import PostgresServer
from surgical_pipeline_tests.receiver_process import SECRET, ReceiverProcess

pytestmark = pytest.mark.processes

HOOKS = 240
SENDERS = 6


class Address:
    """What GitLab sends to: either receiver, and the other one if that does not answer with 2xx."""

    def __init__(self, *receivers: ReceiverProcess, seed: int) -> None:
        self.receivers = list(receivers)
        self.accepted: set[str] = set()
        self._dice = random.Random(seed)
        self._guard = threading.Lock()
        self._client = httpx.Client(headers={"X-Gitlab-Token": SECRET}, timeout=20, trust_env=False)

    def send(self, number: int) -> None:
        """Every third event is sent twice, as GitLab does if an answer gets lost on its way."""
        key = f"delivery-{number}"
        body = {
            "object_kind": "issue",
            "project": {"id": 5, "path_with_namespace": "acme/rocket"},
            "object_attributes": {"iid": number + 1},
        }
        with self._guard:
            order = self._dice.sample([0, 1], 2)
        for _ in range(1 if number % 3 else 2):
            if not any(self._taken(self.receivers[place], body, key) for place in order):
                return
            order.reverse()
        with self._guard:
            self.accepted.add(key)

    def close(self) -> None:
        self._client.close()

    def _taken(self, receiver: ReceiverProcess, body: object, key: str) -> bool:
        try:
            return self._client.post(receiver.url, json=body, headers={"Idempotency-Key": key}).is_success
        except httpx.TransportError:
            return False


class Sensor:
    """Asks for what is new by the highest number that it has seen."""

    def __init__(self, postgres: PostgresServer, database: str) -> None:
        self._postgres = postgres
        self._database = database
        self.seen: list[int] = []

    def look(self) -> None:
        after = max(self.seen, default=0)
        found = self._postgres.rows(
            self._database, f"SELECT seq FROM gitlab_events WHERE seq > {after} ORDER BY seq"
        )
        self.seen += [int(seq) for (seq,) in found]

    @contextmanager
    def looking(self) -> Iterator[None]:
        stop = threading.Event()

        def look_on() -> None:
            while not stop.wait(0.05):
                self.look()

        thread = threading.Thread(target=look_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextmanager
def both_drains_at_once(postgres: PostgresServer, database: str) -> Iterator[None]:
    """At its end, each of the two has events in an open window, which neither could commit until then."""
    with psycopg.connect(postgres.url(database)) as connection:
        connection.execute("LOCK TABLE main.hook_deliveries IN EXCLUSIVE MODE")
        yield
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: postgres.rows(database, waiting) == [(2,)], limit_seconds=30, what="two drains wait")


def test_an_event_counts_once_in_the_order_of_commits_and_a_kill_loses_none(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        home.mkdir()
    with postgres.temporary() as database:
        with postgres.ledger(database).write("make"):
            pass
        environment = {"SURGICAL_LEDGER": postgres.url(database)}
        with (
            ReceiverProcess(homes[0], **environment) as one,
            ReceiverProcess(homes[1], **environment) as two,
            closing(Address(one, two, seed=4)) as address,
            ThreadPoolExecutor(SENDERS) as senders,
        ):
            sensor = Sensor(postgres, database)
            with sensor.looking():
                with both_drains_at_once(postgres, database):
                    sent = [senders.submit(address.send, number) for number in range(HOOKS)]
                    sent[HOOKS // 6].result(timeout=60)
                sent[HOOKS // 3].result(timeout=60)
                two.kill()
                sent[2 * HOOKS // 3].result(timeout=60)
                with ReceiverProcess(homes[1], **environment) as again:
                    address.receivers[1] = again
                    for one_sent in sent:
                        one_sent.result(timeout=60)
                    again.await_drained()
                    one.await_drained()
            sensor.look()
        stored = postgres.rows(database, "SELECT event_key, seq, iid FROM gitlab_events ORDER BY seq")
        receivers = postgres.rows(database, "SELECT receiver FROM hook_deliveries")
    assert len(address.accepted) == HOOKS
    assert sorted(key for key, _, _ in stored) == sorted(address.accepted)
    assert [seq for _, seq, _ in stored] == sensor.seen == list(range(1, HOOKS + 1))
    assert sorted(iid for _, _, iid in stored) == list(range(1, HOOKS + 1))
    assert len(receivers) == 2
