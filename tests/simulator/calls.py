"""A request on its way to its handler, and the table that finds the handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import msgspec

from tests.simulator.errors import ApiError, invalid
from tests.simulator.messages import JSON_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.simulator.messages import Request, Response

KNOWN_PATHS = 1000
BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Call:
    """A request whose route and sender are known.

    Attributes:
        request: what came in.
        request_id: the id that errors carry.
        account: the account it acts for, "" for the credential's own.
        path: the path's variables, decoded.
        query: the query, decoded; the last of repeated names counts.
        late_commit: the connection was cut long ago, and the request takes effect only now.
    """

    request: Request
    request_id: str
    account: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    late_commit: bool = False

    def json_object(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object.

        Raises:
            ApiError: 415 if the body is said to be anything but JSON, 400 if it is not a JSON object.
        """
        body = self.json_value()
        if not isinstance(body, dict):
            raise ApiError(400, message="Request body is not a JSON object")
        return body

    def json_value(self) -> Any:
        """Return the body, which must be JSON.

        Raises:
            ApiError: 415 if the body is said to be anything but JSON, 400 if it is not.
        """
        content_type = (self.request.header("content-type") or "").partition(";")[0].strip().lower()
        if self.request.body and content_type != JSON_TYPE:
            raise ApiError(415)
        try:
            return msgspec.json.decode(self.request.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ApiError(400, message="Request body is not valid JSON") from error


def member(body: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    """Return a member of a JSON object, `default` where it is absent or null.

    Raises:
        ApiError: 400 if it has another type.
    """
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        codes = {bool: "BOOLEAN", str: "STRING", list: "ARRAY", dict: "OBJECT"}
        raise invalid(**{name: f"{codes[kind]}_EXPECTED"})
    return value


@dataclass(frozen=True)
class Route:
    """One operation: a method, a path with variables in braces, a name, a handler."""

    method: str
    pattern: str
    operation: str
    handler: Callable[[Call], Response]

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """Return the path's variables, or None if the path is another."""
        pattern = self.pattern.split("/")
        if len(pattern) != len(segments):
            return None
        found = {}
        for want, segment in zip(pattern, segments, strict=True):
            if want.startswith("{"):
                found[want[1:-1]] = unquote(segment)
            elif want != segment:
                return None
        return found


class Router:
    """Routes by path, the more literal ones first.

    Args:
        prefix: what all paths begin with, such as "/api/app/v0/".
        routes: in the order in which they are tried.
    """

    def __init__(self, prefix: str, routes: Sequence[Route]) -> None:
        self._prefix = prefix
        self._routes = routes
        # Paths come again and again; so many at most, for each item has one of its own.
        self._known: dict[tuple[str, str], tuple[Route, dict[str, str]]] = {}

    def owns(self, path: str) -> bool:
        """Return whether the path begins with this router's prefix."""
        return path.startswith(self._prefix)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and the path's variables.

        Raises:
            ApiError: 404 for an unknown path, 405 for a path that has other methods.
        """
        if (known := self._known.get((method, path))) is not None:
            return known
        if len(self._known) >= KNOWN_PATHS:
            self._known.clear()
        found = self._known[method, path] = self._found(method, path)
        return found

    def _found(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        segments = path.removeprefix(self._prefix).split("/")
        found = [(route, match) for route in self._routes if (match := route.match(segments)) is not None]
        for route, match in found:
            if route.method == method:
                return route, match
        if not found:
            raise ApiError(404, "NOT_FOUND", "There is nothing at this path")
        raise ApiError(405, headers={"Allow": ", ".join(sorted({route.method for route, _ in found}))})


def query_of(request: Request) -> dict[str, str]:
    """Return the decoded query; the last of repeated names counts."""
    return dict(parse_qsl(request.query, keep_blank_values=True))
