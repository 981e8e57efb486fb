"""Clients that are slow, silent, hostile or gone: each is shown out in time, and real hooks pass meanwhile."""

import asyncio
import json
import logging
import statistics
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest

from surgical_pipeline.webhook.app import PATH
from surgical_pipeline.webhook.server import REQUEST_SECONDS, allow_many_connections
from surgical_pipeline_tests.integration.webhook.receiver import SECRET, RunningReceiver, issue_hook

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: {SECRET}\r\n".encode()
BODY = json.dumps(issue_hook()).encode()
Writer = asyncio.StreamWriter


async def silent(writer: Writer) -> None:
    del writer


async def dribbles_headers(writer: Writer) -> None:
    writer.write(HEAD)
    while not writer.is_closing():
        writer.write(b"X-Padding: x\r\n")
        await writer.drain()
        await asyncio.sleep(0.5)


async def dribbles_its_body(writer: Writer) -> None:
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.5)


async def dribbles_chunks(writer: Writer) -> None:
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.5)


async def stops_in_mid_body(writer: Writer) -> None:
    writer.write(HEAD + b"Content-Length: 2000000\r\n\r\n" + b" " * 1_500_000)


SLOW: list[Callable[[Writer], Awaitable[None]]] = [
    silent,
    dribbles_headers,
    dribbles_its_body,
    dribbles_chunks,
    stops_in_mid_body,
]


async def shown_out(port: int, behave: Callable[[Writer], Awaitable[None]]) -> tuple[bytes, float]:
    """What such a client is answered, and after how many seconds its connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    behaving = asyncio.ensure_future(behave(writer))
    answer = b""
    try:
        while piece := await reader.read(4096):
            answer += piece
    except ConnectionError:
        pass  # it ends with a reset if the client goes on sending
    behaving.cancel()
    await asyncio.gather(behaving, return_exceptions=True)
    writer.close()
    return answer, time.monotonic() - began


@pytest.mark.processes
def test_500_slow_clients_keep_no_real_hook_waiting(
    receiver: RunningReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    allow_many_connections()

    async def scenario() -> tuple[list[tuple[bytes, float]], list[float]]:
        clients = [
            asyncio.create_task(shown_out(receiver.port, SLOW[number % len(SLOW)])) for number in range(500)
        ]
        await asyncio.sleep(1)
        seconds: list[float] = []
        async with httpx.AsyncClient(headers={"X-Gitlab-Token": SECRET}, timeout=10) as gitlab:
            while not all(client.done() for client in clients):
                began = time.monotonic()
                answer = await gitlab.post(f"{receiver.url}{PATH}", content=BODY)
                assert answer.status_code == 200
                seconds.append(time.monotonic() - began)
                await asyncio.sleep(0.05)
        return [client.result() for client in clients], seconds

    shown, seconds = asyncio.run(scenario())
    assert len(seconds) >= 50
    assert statistics.quantiles(seconds, n=100)[98] < 1
    told = [answer.startswith(b"HTTP/1.1 408 ") for answer, _ in shown]
    assert all(told[number] for number in range(500) if SLOW[number % len(SLOW)] is not stops_in_mid_body)
    assert max(after for _, after in shown) < REQUEST_SECONDS + 3
    assert min(after for _, after in shown) > REQUEST_SECONDS - 1
    assert len(receiver.events) == len(seconds)
    late = [line for line in caplog.messages if "did not arrive whole within 10 s" in line]
    assert len(late) == 500
    assert not [line for line in caplog.records if line.exc_info]


ODD = {
    "20 KB of headers": HEAD + b"X-Padding: " + b"x" * 20_000 + b"\r\n\r\n",
    "600 KB of headers without an end": HEAD + b"X-Padding: x\r\n" * 43_000,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9 + b"\r\n\r\n",
    "a chunk without a size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length that is none": HEAD + b"Content-Length: -1\r\n\r\n",
    "no host": f"POST {PATH} HTTP/1.1\r\n\r\n".encode(),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_http_gets_a_400_at_once_and_one_line(
    receiver: RunningReceiver, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    async def send(writer: Writer) -> None:
        writer.write(ODD[what])

    answer, after = asyncio.run(shown_out(receiver.port, send))
    assert answer.startswith(b"HTTP/1.1 400 ") or what.startswith("600 KB"), "a reset may overtake that answer"
    assert after < 5
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("refused a request from 127.0.0.1 (400): ")
    assert receiver.events == []
    assert receiver.post(issue_hook()).status_code == 200


def test_a_second_request_on_a_connection_is_not_answered(receiver: RunningReceiver) -> None:
    request = HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY

    async def send(writer: Writer) -> None:
        writer.write(request * 3)

    answer, _ = asyncio.run(shown_out(receiver.port, send))
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert len(receiver.events) == 1


def test_an_offer_to_speak_another_protocol_is_not_taken(receiver: RunningReceiver) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "X-Gitlab-Token": SECRET}
    assert receiver.post(issue_hook(), headers=headers).status_code == 200


def test_clients_that_hang_up_leave_no_event_and_no_traceback(
    receiver: RunningReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    for beginning in (b"", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{", HEAD + b"Expect: 100-continue\r\n"):
        with receiver.connect() as client:
            client.sendall(beginning)
    assert receiver.post(issue_hook()).status_code == 200
    assert len(receiver.events) == 1
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []


def test_it_stops_in_time_whatever_clients_do_and_without_a_traceback(
    receiver: RunningReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[float, list[bytes]]:
        clients = [asyncio.create_task(shown_out(receiver.port, behave)) for behave in SLOW * 3]
        await asyncio.sleep(1)
        seconds = await asyncio.to_thread(receiver.stop)
        shown = await asyncio.wait_for(asyncio.gather(*clients), 10)
        return seconds, [answer for answer, _ in shown]

    seconds, answers = asyncio.run(scenario())
    assert seconds < 6
    assert answers == [b""] * 15, "nothing is wrong with the receiver"
    assert [line for line in caplog.records if line.levelno >= logging.ERROR or line.exc_info] == []


def test_a_request_that_is_under_way_is_answered_before_it_stops(receiver: RunningReceiver) -> None:
    with receiver.connect() as client:
        client.sendall(HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:10])
        time.sleep(0.3)
        receiver._server.should_exit = True
        time.sleep(0.5)
        client.sendall(BODY[10:])
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert len(receiver.events) == 1
