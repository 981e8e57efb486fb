"""What the machine and the sandbox take by themselves: a client that asks and waits, and understands nothing."""

import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


def seconds_of(paths: Iterable[str], *, url: str, token: str, at_once: int) -> float:
    """Seconds that GETs of these paths take over so many connections, one after the other on each.

    Raises:
        SystemExit: an answer was no 200 with a ``Content-Length``.
    """
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    waiting = iter(list(paths))
    with ThreadPoolExecutor(at_once) as threads:
        began = time.perf_counter()
        for done in [threads.submit(_work_off, waiting, (host, port), token) for _ in range(at_once)]:
            done.result()
        return time.perf_counter() - began


def _work_off(waiting: Iterator[str], address: tuple[str, int], token: str) -> None:
    with closing(socket.create_connection(address, timeout=30)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for path in waiting:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: sandbox\r\nPRIVATE-TOKEN: {token}\r\n\r\n".encode())
            _read_answer(connection)


def _read_answer(connection: socket.socket) -> None:
    received = b""
    while _END_OF_HEAD not in received:
        received += _more(connection)
    head, body = received.lower().split(_END_OF_HEAD, 1)
    if b" 200 " not in head or _LENGTH not in head:
        raise SystemExit(f"not the answer that the bare client waited for: {head[:80]!r}")
    missing = int(head.split(_LENGTH)[1].split()[0]) - len(body)
    while missing > 0:
        missing -= len(_more(connection))


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(1 << 20)
    if not part:
        raise SystemExit("the sandbox hung up on the bare client")
    return part
