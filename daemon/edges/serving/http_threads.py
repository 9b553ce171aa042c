"""A small HTTP server: a thread for each connection, so many at a time, none for ever."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final, NamedTuple

import msgspec
import structlog

MOST_CONNECTIONS: Final = 32
SILENCE_SECONDS: Final = 5.0
# Of a whole connection: a client that trickles must not keep a place for ever.
CONNECTION_SECONDS: Final = 15.0
CLOSING_SECONDS: Final = 1.0
OVERLOADED: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
SECURITY_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

log = structlog.get_logger(__name__)


class Response(NamedTuple):
    """What one request is answered with; the policy says what a browser may load for it."""

    status: HTTPStatus
    content_type: str
    body: bytes
    policy: str = "default-src 'none'; frame-ancestors 'none'"


# Answers a path; it is given the `Accept` header.
Route = Callable[[str], Response]


def json_response(status: HTTPStatus, content: Mapping[str, object]) -> Response:
    """A JSON object; keys and values that JSON does not know become text."""
    plain = msgspec.to_builtins(dict(content), str_keys=True, enc_hook=str)
    return Response(status, "application/json", msgspec.json.encode(plain) + b"\n")


class ThreadedServer(ThreadingHTTPServer):
    """Listens from the moment it is made.

    Port 0 takes a free one; a connection may take `connection_seconds` as a whole.

    Raises:
        OSError: the address cannot be listened on.
    """

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(
        self,
        address: tuple[str, int],
        routes: Mapping[str, Route],
        connection_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        self.routes = routes
        self._connection_seconds = connection_seconds
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._open: dict[Any, float] = {}
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without asking the name service for a name that nobody needs."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread of its own, in the place of the oldest where there are many.

        Silent clients must not have a probe refused: it would be taken for a daemon that is dead.
        """
        with self._changed:
            if len(self._open) >= MOST_CONNECTIONS:
                _end(next(iter(self._open)))
            # Those that were ended give their places back in a moment.
            full = len(self._open) >= 2 * MOST_CONNECTIONS
            if not full:
                self._open[request] = time.monotonic()
        if full:
            request.settimeout(0)
            with suppress(OSError):
                request.send(OVERLOADED)
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Give the place back; the library calls it once for each connection."""
        with self._changed:
            self._open.pop(request, None)
            self._changed.notify_all()
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End connections that have had their time."""
        self._end_older_than(time.monotonic() - self._connection_seconds)

    def server_close(self) -> None:
        """Listen no more, and end what is still open."""
        super().server_close()
        self._end_older_than(time.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: not self._open, CLOSING_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """Say quietly that a client went away; the library would print a traceback."""
        log.debug("http_connection_failed", client=client_address, error=repr(sys.exc_info()[1]))

    def _end_older_than(self, since: float) -> None:
        with self._changed:
            for request, opened in self._open.items():
                if opened <= since:
                    _end(request)


def _end(request: Any) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request and closes the connection: probes and scrapes are rare."""

    protocol_version = "HTTP/1.1"
    timeout = SILENCE_SECONDS
    server: ThreadedServer

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Take every method; the library looks for `do_GET` and the like."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        path, _, _ = self.path.partition("?")
        route = self.server.routes.get(path)
        if route is None:
            self._send(_error(HTTPStatus.NOT_FOUND))
        elif self.command not in ("GET", "HEAD"):
            self._send(_error(HTTPStatus.METHOD_NOT_ALLOWED))
        else:
            self._send(self._called(path, route))

    def _called(self, path: str, route: Route) -> Response:
        try:
            return route(self.headers.get("Accept", ""))
        except Exception:
            # The text stays in the log: it may say more than a visitor should read.
            log.exception("http_request_failed", path=path)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Content-Security-Policy", response.policy)
        for name, value in SECURITY_HEADERS.items():
            self.send_header(name, value)
        if response.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - the library's signature
        """Answer a request that could not even be read; the library would send a page."""
        self._send(_error(HTTPStatus(code)))

    def version_string(self) -> str:
        """The `Server` header, without versions."""
        return "tolokad"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        """Log no access: probes would drown everything else."""


def _error(status: HTTPStatus) -> Response:
    return json_response(status, {"error": status.phrase})
