"""The body of an answer, decompressed within bounds: each piece is counted before the next is decompressed."""

import zlib
from collections.abc import Iterator

import httpx

from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.urls import path_of

ACCEPTED_ENCODING = "gzip"
_GZIP_NAMES = frozenset({"gzip", "x-gzip"})
_PIECE_BYTES = 256 * 1024
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The first ``limit`` bytes of the body, and one more if it is longer.

    Raises:
        InvalidPayloadError: compressed other than requested (another encoding, or nested encodings), or
            incomplete; the latter is transient.
        httpx.HTTPError: the connection broke.
    """
    unpacker = _Gzip(response) if _is_packed(response) else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        for piece in unpacker.pieces(chunk) if unpacker else (chunk,):
            body += piece[: limit + 1 - len(body)]
            if len(body) > limit:
                return bytes(body)
    if unpacker:
        unpacker.check_end()
    return bytes(body)


def _is_packed(response: httpx.Response) -> bool:
    layers = [layer.strip().lower() for layer in response.headers.get("content-encoding", "").split(",")]
    layers = [layer for layer in layers if layer not in ("", "identity")]
    if not layers:
        return False
    if len(layers) > 1 or layers[0] not in _GZIP_NAMES:
        raise InvalidPayloadError(
            "GitLab's answer is packed otherwise than in one layer of gzip, which was asked for",
            path=path_of(response.url),
            status=response.status_code,
        )
    return True


class _Gzip:
    """One layer of gzip, decompressed in small pieces: a few kilobytes may expand to gigabytes."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._inflate = zlib.decompressobj(_GZIP_WINDOW)

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        while True:
            if self._inflate.eof and packed:
                raise self._broken()
            try:
                piece = self._inflate.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise self._broken() from error
            yield piece
            packed = self._inflate.unconsumed_tail or self._inflate.unused_data
            if not packed and len(piece) < _PIECE_BYTES:
                return

    def check_end(self) -> None:
        if not self._inflate.eof:
            raise self._broken()

    def _broken(self) -> InvalidPayloadError:
        return InvalidPayloadError(
            "GitLab's answer is not whole, valid gzip",
            path=path_of(self._response.url),
            status=self._response.status_code,
            transient=True,
        )
