"""Health, metrics and the status page, served from threads so that a stalled event loop can still say so."""

import errno
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from daemon.edges.serving.http_threads import Response, Route, ThreadedServer, json_response
from daemon.edges.serving.status_page import POLICY, status_page
from daemon.errors import ConfigurationError

POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Health:
    """An answer to a probe; `detail` is shown beside it."""

    ok: bool
    detail: Mapping[str, object] = field(default_factory=dict)


class HttpServer:
    """Serves `/livez`, `/readyz`, `/metrics`, `/status.json` and `/`; anything else is 404.

    The callables are called in the server's threads, at any time while it runs: they must be quick and may
    not touch what only the event loop's thread may touch.

    Port 0 takes a free one.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        live: Callable[[], Health],
        ready: Callable[[], Health],
        status: Callable[[], Mapping[str, object]],
    ) -> None:
        self._address = (host, port)
        self._registry = registry
        self._live = live
        self._ready = ready
        self._status = status
        self._server: ThreadedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once it is started."""
        return self._address[1] if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Listen, and serve in a thread.

        Raises:
            ConfigurationError: the address cannot be listened on, the port is taken, for instance.
        """
        routes: dict[str, Route] = {
            "/livez": lambda _: _health(self._live()),
            "/readyz": lambda _: _health(self._ready()),
            "/metrics": self._metrics,
            "/status.json": lambda _: json_response(HTTPStatus.OK, self._status()),
            "/": lambda _: self._page(),
        }
        try:
            self._server = ThreadedServer(self._address, routes)
        except OSError as error:
            raise ConfigurationError(_refusal(*self._address, error)) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="http-server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Serve no more; takes about a tenth of a second."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _metrics(self, accept: str) -> Response:
        encode, content_type = choose_encoder(accept)
        return Response(HTTPStatus.OK, content_type, encode(self._registry))

    def _page(self) -> Response:
        page = status_page(live=self._live().ok, ready=self._ready().ok, status=self._status())
        return Response(HTTPStatus.OK, "text/html; charset=utf-8", page.encode(errors="replace"), POLICY)


def _health(health: Health) -> Response:
    status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return json_response(status, {"ok": health.ok, **health.detail})


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"TOLOKAD_HTTP__PORT: port {port} is taken on {host}"
    if error.errno == errno.EACCES:
        return f"TOLOKAD_HTTP__PORT: this user may not listen on port {port}"
    return f"TOLOKAD_HTTP__HOST: cannot listen on {host!r}: {error.strerror}"
