"""Ten thousand bodies that no GitLab sends, into the app itself: answered, and never with a 5xx."""

import asyncio
import json
import random
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from surgical_pipeline.webhook.app import PATH, create_app
from surgical_pipeline.webhook.signatures import Verifier
from surgical_pipeline.webhook.spool import Spool
from surgical_pipeline_tests.integration.webhook.receiver import SECRET, SIGNING_TOKEN, issue_hook, signed

BODIES = 10_000
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**30,
    1e308,
    "",
    "7",
    "\ud800",
    "\0",
    [],
    {},
    [{}],
    {"iid": 1},
]


def mutated(hook: Any, dice: random.Random) -> Any:
    """The hook with a value replaced, removed, renamed or put elsewhere, at a random place."""
    place = hook
    while dice.random() < 0.7:
        inner = [
            value
            for value in (place.values() if isinstance(place, dict) else place)
            if value and isinstance(value, dict | list)
        ]
        if not inner:
            break
        place = dice.choice(inner)
    if isinstance(place, list):
        place.append(deepcopy(dice.choice(VALUES)))
    elif place:
        name = dice.choice(list(place))
        value = place.pop(name)
        if dice.random() < 0.5:
            place[name] = deepcopy(dice.choice(VALUES))
        elif dice.random() < 0.5:
            place[dice.choice(["iid", "project_id", "object_kind", f"{name} "])] = value
    return hook


def damaged(body: bytes, dice: random.Random) -> bytes:
    """Bytes cut off, repeated or changed."""
    if dice.random() < 0.8:
        return body
    at = dice.randrange(len(body) + 1)
    return dice.choice([body[:at], body[:at] + dice.randbytes(3) + body[at:], body[at:] + body])


def test_ten_thousand_mutated_bodies_are_answered_and_none_with_a_5xx(
    tmp_path: Path, gitlab_payloads: Path
) -> None:
    dice = random.Random(11)
    lines = (gitlab_payloads / "webhook.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [json.dumps(json.loads(line)["payload"]) for line in lines] + [json.dumps(issue_hook())]
    spool = Spool(tmp_path / "spool")
    spool.open()
    verifier = Verifier(secrets=[SecretStr(SECRET)], signing_tokens=[SecretStr(SIGNING_TOKEN)])
    statuses: Counter[int] = Counter()

    async def send_all() -> None:
        transport = httpx.ASGITransport(create_app(spool, verifier))
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:

            async def send() -> None:
                hook = json.loads(dice.choice(samples))
                for _ in range(dice.randrange(4)):
                    hook = mutated(hook, dice)
                body = damaged(json.dumps(hook).encode(), dice)
                headers = dice.choice([{"X-Gitlab-Token": SECRET}, signed(body, name=f"{dice.random()}")])
                answer = await client.post(PATH, content=body, headers=headers)
                statuses[answer.status_code] += 1

            for _ in range(BODIES // 50):
                await asyncio.gather(*(send() for _ in range(50)))

    asyncio.run(send_all())
    events = spool.oldest(BODIES)
    spool.close()
    assert statuses.total() == BODIES
    assert set(statuses) == {200, 400, 401}, "401: a signed body that is no UTF-8"
    assert 1_000 < len(events) < statuses[200]
