"""What a receiver answers over HTTP, whatever it is sent: never a crash, and an event only where one is due."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.webhook.app import PATH
from surgical_pipeline.webhook.spool import read_counters
from surgical_pipeline_tests.integration.webhook.receiver import KEY, SECRET, RunningReceiver, issue_hook, signed

BODY = json.dumps(issue_hook()).encode()
LIMIT = 25_000_000


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="surgical_pipeline")
    return caplog


def test_an_event_is_in_the_spool_when_gitlab_gets_its_answer(
    receiver: RunningReceiver, log: pytest.LogCaptureFixture
) -> None:
    answer = receiver.post(issue_hook(), headers={"X-Gitlab-Token": SECRET, "Idempotency-Key": "delivery-1"})
    assert (answer.status_code, answer.text) == (200, "accepted: issue hook of project 5, #7\n")
    (event,) = receiver.events
    assert (event.key, event.project_id, event.project_path) == ("delivery-1", 5, "acme/rocket")
    assert event.entity == EntityKey(EntityType.ISSUE, 7)
    assert event.sent_at is None
    assert event.occurred_at == datetime(2026, 6, 30, 10, tzinfo=UTC)
    assert log.messages == ["accepted: issue hook of project 5, #7"]


def test_a_signed_event_keeps_gitlabs_time(receiver: RunningReceiver) -> None:
    headers = signed(BODY)
    assert receiver.post(BODY, headers=headers).status_code == 200
    assert receiver.events[0].sent_at == datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)


def test_a_test_button_without_an_action_is_taken(receiver: RunningReceiver) -> None:
    hook = issue_hook()
    del hook["object_attributes"]["action"]
    assert receiver.post(hook).status_code == 200
    assert len(receiver.events) == 1


def test_a_replayed_delivery_is_one_event(receiver: RunningReceiver, log: pytest.LogCaptureFixture) -> None:
    headers = signed(BODY)
    assert [receiver.post(BODY, headers=headers).status_code for _ in range(3)] == [200, 200, 200]
    assert len(receiver.events) == 1
    assert [message.split(":")[0] for message in log.messages] == [
        "accepted",
        "accepted again",
        "accepted again",
    ]


def test_two_events_of_one_entity_are_two(receiver: RunningReceiver) -> None:
    """GitLab's event UUID is shared by several, and none of the others names the object's state."""
    headers = {"X-Gitlab-Token": SECRET, "X-Gitlab-Event-UUID": "shared"}
    for _ in range(2):
        receiver.post(issue_hook(), headers=headers)
    assert len({event.key for event in receiver.events}) == 2


def chunks(total: int) -> Iterator[bytes]:
    while total > 0:
        yield b" " * min(total, 1_000_000)
        total -= 1_000_000


TOKEN = {"X-Gitlab-Token": SECRET}
OTHER_KEY = KEY[::-1]
REFUSED: dict[str, tuple[bytes, Callable[[], dict[str, str]], int]] = {
    "unsigned": (BODY, dict, 401),
    "with another token": (BODY, lambda: {"X-Gitlab-Token": "another"}, 401),
    "signed by another": (BODY, lambda: signed(BODY, key=OTHER_KEY), 401),
    "signed by another, with the right token": (BODY, lambda: signed(BODY, key=OTHER_KEY) | TOKEN, 401),
    "signed for another body": (BODY, lambda: signed(b"{}"), 401),
    "six minutes old": (BODY, lambda: signed(BODY, at=time.time() - 360), 401),
    "not JSON": (b"<xml/>", lambda: TOKEN, 400),
    "empty": (b"", lambda: TOKEN, 400),
    "25 MB and a byte": (b" " * (LIMIT + 1), lambda: TOKEN, 413),
}


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_input_is_refused_in_one_line_and_leaves_no_event(
    receiver: RunningReceiver, log: pytest.LogCaptureFixture, what: str
) -> None:
    body, headers, status = REFUSED[what]
    answer = receiver.post(body, headers=headers())
    assert answer.status_code == status
    assert answer.text.startswith("refused: ")
    assert receiver.events == []
    (line,) = log.messages
    assert line.startswith(f"refused a delivery from 127.0.0.1 ({status}): ")
    assert SECRET not in line
    assert receiver.post(issue_hook()).status_code == 200


def test_a_large_body_without_a_length_is_refused_too(receiver: RunningReceiver) -> None:
    assert receiver.post(chunks(LIMIT + 1)).status_code == 413
    assert receiver.events == []


def test_a_body_of_25_mb_is_taken(receiver: RunningReceiver) -> None:
    body = BODY + b" " * (LIMIT - len(BODY))
    assert receiver.post(body).status_code == 200
    assert receiver.post(body, headers=signed(body)).status_code == 200
    assert len(receiver.events) == 2


UNINTERESTING = {
    "an unknown kind": {"object_kind": "a kind to come"},
    "a push": {"object_kind": "push", "project_id": 5},
    "a list": ["an", "issue"],
    "a text": "an issue",
    "a template of somebody's own": {"text": "issue 7 changed"},
    "an IID that is a text": issue_hook() | {"object_attributes": {"iid": "7"}},
    "an IID that no database takes": issue_hook() | {"object_attributes": {"iid": 2**70}},
    "an epic": {"object_kind": "work_item", "project": None, "project_id": None, "object_attributes": {"iid": 1}},
    "a rename": {"event_name": "project_rename", "project_id": 5},
}


@pytest.mark.parametrize("what", UNINTERESTING)
def test_what_is_uninteresting_is_answered_well_in_one_line_and_leaves_no_event(
    receiver: RunningReceiver, log: pytest.LogCaptureFixture, what: str
) -> None:
    assert receiver.post(UNINTERESTING[what]).status_code == 200
    assert receiver.events == []
    (line,) = log.messages
    assert line.startswith("ignored: ")


OTHER_ADDRESSES = [("GET", PATH, 405), ("PUT", PATH, 405), ("POST", "/", 404), ("POST", f"{PATH}/", 404)]


@pytest.mark.parametrize(("method", "path", "status"), OTHER_ADDRESSES)
def test_other_addresses_say_where_hooks_are_taken(
    receiver: RunningReceiver, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, f"{receiver.url}{path}")
    assert (answer.status_code, answer.text) == (status, f"hooks are taken by POST {PATH}\n")


def test_what_became_of_deliveries_is_counted_and_other_processes_can_read_it(receiver: RunningReceiver) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    receiver.post(issue_hook())
    receiver.post(issue_hook())
    receiver.post({"object_kind": "push"})
    receiver.post(issue_hook(), headers={"X-Gitlab-Token": "another"})
    receiver.post(BODY, headers=signed(BODY, at=time.time() - 3600))
    receiver.post(BODY, headers=signed(BODY, at=time.time() - 3600, key=OTHER_KEY))
    told = httpx.get(f"{receiver.url}/readyz").json()["counters"]
    assert {name: told[name] for name in told if not name.endswith("_at")} == {
        "accepted": 2,
        "ignored": 1,
        "refused_secret": 2,
        "refused_age": 1,
    }
    seen = read_counters(receiver.spool.path)
    assert seen == receiver.counters
    assert seen is not None
    for moment in (seen.last_accepted_at, seen.last_refused_secret_at, seen.last_refused_age_at):
        assert moment is not None
        assert began <= moment <= datetime.now(UTC)


def test_counters_outlive_the_receiver(receiver: RunningReceiver) -> None:
    receiver.post(issue_hook(), headers={})
    receiver.stop()
    receiver.spool.close()
    seen = read_counters(receiver.spool.path)
    assert seen is not None
    assert seen.refused_secret == 1
