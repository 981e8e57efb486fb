"""How deliveries fare: lost, doubled, late, out of order, refused, and hooks that are switched off."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING

import httpx
import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.contract.sandbox.conftest import client_for
from surgical_pipeline_tests.hook_catcher import HookCatcher

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = "http://127.0.0.1:9/hooks"


@pytest.fixture
def catcher() -> Iterator[HookCatcher]:
    with HookCatcher() as catcher:
        yield catcher


def outcomes(sandbox: RunningSandbox) -> Counter[str]:
    sandbox.control.hooks.wait_until_sent()
    return Counter(delivery.outcome for delivery in sandbox.control.hooks.deliveries())


def edit(sandbox: RunningSandbox, times: int) -> None:
    for number in range(times):
        sandbox.control.update_issue(12, title=f"title {number}")


def test_a_share_of_deliveries_is_lost_the_same_one_each_time(
    sandbox: RunningSandbox, catcher: HookCatcher
) -> None:
    runs = []
    for _ in range(2):
        sandbox.control.reset()
        catcher.caught.clear()
        sandbox.control.hooks.add(catcher.url, lose=0.5, seed=4)
        edit(sandbox, 20)
        found = outcomes(sandbox)
        assert found["lost"] + found["delivered"] == 20
        assert 3 < len(catcher.caught) == found["delivered"] < 17
        runs.append(sorted(str(caught.body["object_attributes"]["title"]) for caught in catcher.caught))
    assert runs[0] == runs[1]


def test_a_delivery_that_is_sent_twice_keeps_its_key(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    sandbox.control.hooks.add(catcher.url, double=1)
    sandbox.control.update_issue(12, title="x")
    first, second = catcher.wait_for(2)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["x-gitlab-webhook-uuid"] != second.headers["x-gitlab-webhook-uuid"]
    assert first.content == second.content


def test_deliveries_wait_and_change_places(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    began = time.monotonic()
    sandbox.control.hooks.add(catcher.url, delay_ms=300, spread_ms=1500, seed=111)
    edit(sandbox, 10)
    catcher.wait_for(1)
    assert time.monotonic() - began >= 0.3
    titles = [str(caught.body["object_attributes"]["title"]) for caught in catcher.wait_for(10)]
    overtaken = sum(first > second for first, second in combinations(titles, 2))
    assert overtaken > 10  # by chance, fewer do
    assert sorted(titles) == [f"title {number}" for number in range(10)]


def test_an_edit_does_not_wait_for_its_hooks(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    catcher.free.clear()
    sandbox.control.hooks.add(catcher.url)
    edit(sandbox, 3)
    assert len(catcher.wait_for(3)) == 3  # beside each other, none of them answered
    assert sandbox.control.hooks.deliveries() == []
    catcher.free.set()
    assert outcomes(sandbox) == {"delivered": 3}


def test_who_does_not_answer_in_time_has_failed_and_is_not_asked_again(
    sandbox: RunningSandbox, catcher: HookCatcher
) -> None:
    catcher.free.clear()
    hook = sandbox.control.hooks.add(catcher.url, timeout_seconds=1)
    edit(sandbox, 1)
    assert outcomes(sandbox) == {"failed": 1}
    [view] = sandbox.control.hooks.all()
    assert (view.hook_id, view.failures_in_row, view.sent) == (hook.hook_id, 1, 1)
    assert len(catcher.caught) == 1


def test_the_body_may_be_anything(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    sandbox.control.hooks.add(catcher.url, custom_body="{{object_kind}} ä")
    edit(sandbox, 1)
    [caught] = catcher.wait_for(1)
    assert caught.content.decode() == "{{object_kind}} ä"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_four_failures_in_a_row_switch_a_hook_off_for_a_minute_then_for_two(catcher: HookCatcher) -> None:
    clock = Clock()
    with RunningSandbox(clock=clock) as sandbox:
        hooks = sandbox.control.hooks
        hook_id = hooks.add(catcher.url).hook_id
        catcher.status = 503

        def after(edits: int) -> tuple[str, int, str | None]:
            for number in range(edits):
                sandbox.control.update_issue(12, title=f"{clock.now} {number}")
                hooks.wait_until_sent()
            [view] = hooks.all()
            return view.alert_status, view.failures_in_row, view.disabled_until

        assert after(3) == ("executable", 3, None)
        assert after(1) == ("temporarily_disabled", 4, "2026-11-01T12:01:00.000Z")
        assert after(2) == ("temporarily_disabled", 4, "2026-11-01T12:01:00.000Z")
        assert len(catcher.caught) == 4
        assert outcomes(sandbox) == {"failed": 4, "switched_off": 2}
        clock.now += timedelta(seconds=61)
        assert after(1) == ("temporarily_disabled", 5, "2026-11-01T12:03:01.000Z")
        clock.now += timedelta(seconds=121)
        catcher.status = 201
        assert after(1) == ("executable", 0, None)
        catcher.status = 404
        assert after(3)[0] == "executable"
        assert after(1)[0] == "temporarily_disabled"
        hooks.enable(hook_id)
        catcher.status = 200
        assert after(1) == ("executable", 0, None)


def test_forty_failures_switch_it_off_for_good() -> None:
    clock = Clock()
    with RunningSandbox(clock=clock) as sandbox:
        sandbox.control.hooks.add(NOBODY)
        for number in range(40):
            sandbox.control.update_issue(12, title=f"title {number}")
            sandbox.control.hooks.wait_until_sent()
            clock.now += timedelta(days=2)
        [view] = sandbox.control.hooks.all()
        assert (view.alert_status, view.failures_in_row, view.sent) == ("disabled", 40, 40)


def test_a_sandbox_ends_at_once_with_deliveries_under_way(catcher: HookCatcher) -> None:
    catcher.free.clear()
    threads = threading.active_count()
    with RunningSandbox() as sandbox:
        sandbox.control.hooks.add(catcher.url)
        sandbox.control.hooks.add(catcher.url, delay_ms=60_000)
        edit(sandbox, 5)
        catcher.wait_for(5)
        began = time.monotonic()
    assert time.monotonic() - began < 8
    catcher.free.set()
    assert threading.active_count() <= threads + 5  # the catcher's own


def test_a_reset_forgets_hooks_and_what_is_under_way(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    sandbox.control.hooks.add(catcher.url, delay_ms=1000)
    edit(sandbox, 1)
    sandbox.control.reset()
    assert sandbox.control.hooks.all() == []
    assert sandbox.control.hooks.deliveries() == []
    edit(sandbox, 1)
    sandbox.control.hooks.add(catcher.url, delay_ms=1200)
    edit(sandbox, 1)
    assert len(catcher.wait_for(1)) == 1
    assert outcomes(sandbox) == {"delivered": 1}


def test_two_hundred_edits_are_all_delivered_soon(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    sandbox.control.hooks.add(catcher.url)
    with client_for(sandbox, sandbox.token) as api:
        edit(sandbox, 200)
        assert api.get("/projects/4201/issues/12").status_code == httpx.codes.OK
    assert outcomes(sandbox) == {"delivered": 200}
    assert len({caught.headers["idempotency-key"] for caught in catcher.caught}) == 200
