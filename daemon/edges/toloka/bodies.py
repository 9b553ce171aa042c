"""The bodies of requests and answers: what goes out last and on what condition, how much may come in."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable

import httpcore
import httpx

MAX_ANSWER_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 512 * 1024
# After so many pieces of an answer the event loop has its turn.
TURN_CHUNKS = 100
_PLAIN = frozenset({"", "identity"})
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
# zlib finds out by itself which of its two headers it is, gzip's or deflate's (zlib manual, inflateInit2).
_EITHER_HEADER = zlib.MAX_WBITS | 32


class UnreadableError(Exception):
    """An answer's body cannot be taken in."""


class TooLargeError(UnreadableError):
    """An answer's body is larger than what is taken in."""


class Upload(httpx.AsyncByteStream):
    """A request's body whose last byte goes out only once `check` has let it.

    Until then no server can take the request for a whole one, so that whatever goes wrong is a definite no.

    Args:
        body: at least one byte.
        check: raises to leave the request unfinished.
        interrupted: whether the server has said something or hung up; then nothing more is sent, and what
            it said is read. A reset, once it is noticed by writing, would take the answer with it.
    """

    def __init__(self, body: bytes, check: Callable[[], None], interrupted: Callable[[], bool]) -> None:
        self._body = body
        self._check = check
        self._interrupted = interrupted
        self._sent = 0
        self.finished = False

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self._body)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.finished:
            raise StopAsyncIteration
        if self._interrupted():
            # The one error that makes the client stop writing and read the answer.
            raise httpcore.WriteError("the server answered or hung up early")
        last = len(self._body) - 1
        if self._sent < last:
            chunk = self._body[self._sent : min(self._sent + CHUNK_BYTES, last)]
            self._sent += len(chunk)
            return chunk
        self._check()
        self.finished = True
        return self._body[last:]


async def read(response: httpx.Response) -> bytes:
    """The body of an answer, decompressed; at most MAX_ANSWER_BYTES on the wire and unpacked.

    Raises:
        TooLargeError: it is larger.
        UnreadableError: it is encoded in a way that was not asked for.
    """
    body = bytearray()
    crumbs = 0
    async for chunk in response.aiter_raw():
        body += chunk
        _insist_small(len(body))
        crumbs += 1
        if crumbs % TURN_CHUNKS == 0:
            # Chunks that have come already are given out without a pause, however many and small.
            await asyncio.sleep(0)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return _decoded(bytes(body), encoding)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding in _PLAIN or not body:
        return body
    if encoding not in _COMPRESSED:
        raise UnreadableError("an answer in an encoding that was not asked for")
    inflater = zlib.decompressobj(_EITHER_HEADER)
    try:
        decoded = inflater.decompress(body, MAX_ANSWER_BYTES + 1)
    except zlib.error:
        raise UnreadableError("an answer that does not decompress") from None
    _insist_small(len(decoded))
    if not inflater.eof or inflater.unused_data:
        raise UnreadableError("a compressed answer that is cut or goes on behind its end")
    return decoded


def _insist_small(size: int) -> None:
    if size > MAX_ANSWER_BYTES:
        raise TooLargeError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
