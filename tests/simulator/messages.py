"""What crosses the simulator's boundary: a request, a response, and what happens to it on its way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: upper case.
        path: as on the wire: percent-encoded, without the query.
        query: as on the wire, without the question mark.
        headers: looked up without regard to case.
        body: the whole body, not compressed.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the header's value, or None where it is absent; `name` is in lower case."""
        if name in self.headers:
            return self.headers[name]
        return next((value for key, value in self.headers.items() if key.lower() == name), None)


@dataclass(frozen=True, slots=True)
class Disruption:
    """What a transport does to a response that the core has ready.

    Attributes:
        delay_seconds: wait this long before the first byte of the answer.
        cut: close the connection before the answer, or after half of its body.
        reset: a cut is a TCP reset instead of an orderly close.
        hang: never answer; the connection stays open until the client gives up.
        commits_after_seconds: the request itself takes effect this much later, when the core advances.
    """

    delay_seconds: float = 0.0
    cut: Literal["", "before_answer", "in_answer"] = ""
    reset: bool = False
    hang: bool = False
    commits_after_seconds: float = 0.0


CALM = Disruption()


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response.

    Attributes:
        status: the HTTP status.
        headers: what Toloka sends; Content-Length or chunking is the transport's.
        body: as on the wire, that is compressed where Content-Encoding says so.
        chunked: send without Content-Length.
        disruption: what becomes of the response on its way.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    chunked: bool = False
    disruption: Disruption = CALM


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `value` as a JSON response."""
    return Response(status, {"Content-Type": JSON_TYPE, **(headers or {})}, msgspec.json.encode(value))


def empty_response(status: int) -> Response:
    """Return a response without a body."""
    return Response(status, {}, b"")
