"""Probes, metrics and the status page over real connections."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest
import structlog
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from daemon.edges.serving import http_threads
from daemon.edges.serving.http_server import Health, HttpServer
from daemon.edges.serving.http_threads import ThreadedServer, json_response
from daemon.errors import ConfigurationError
from daemon.metrics import Metrics


@dataclass
class Daemon:
    """What the server is told, to be changed by a test."""

    live: Health = field(default_factory=lambda: Health(ok=True))
    ready: Health = field(default_factory=lambda: Health(ok=True))
    status: Mapping[str, object] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    def server(self, host: str = "127.0.0.1", port: int = 0) -> HttpServer:
        """A server for it."""
        return HttpServer(
            host, port, self.metrics.registry, lambda: self.live, lambda: self.ready, lambda: self.status
        )


@pytest.fixture
def daemon() -> Daemon:
    """A daemon that is well."""
    return Daemon()


@dataclass(frozen=True)
class Answer:
    """A response as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body, parsed."""
        assert self.headers["Content-Type"] == "application/json"
        parsed: dict[str, object] = json.loads(self.body)
        return parsed


Ask = Callable[..., Answer]


@pytest.fixture
def ask(daemon: Daemon) -> Iterator[Ask]:
    """Ask the running server."""
    with daemon.server() as server:

        def request(path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.getheaders()), response.read())
            connection.close()
            return answer

        yield request


@pytest.mark.parametrize("probe", ["live", "ready"])
@pytest.mark.parametrize(("ok", "status"), [(True, 200), (False, 503)])
def test_a_probe_says_yes_or_no_and_why(
    daemon: Daemon,
    ask: Ask,
    probe: str,
    ok: bool,  # noqa: FBT001 - a parameter of the table
    status: int,
) -> None:
    """Each by itself, with the holds in the body."""
    setattr(daemon, probe, Health(ok, {"holds": [{"flow": "submit", "reason": "throttled"}]}))
    answer = ask(f"/{probe}z")
    assert answer.status == status
    assert answer.json == {"ok": ok, "holds": [{"flow": "submit", "reason": "throttled"}]}
    other = {"live": "/readyz", "ready": "/livez"}[probe]
    assert (ask(other).status, ask(other).json) == (200, {"ok": True})


def test_probes_follow_changes(daemon: Daemon, ask: Ask) -> None:
    """Nothing is remembered between two requests."""
    assert ask("/readyz").status == 200
    daemon.ready = Health(ok=False)
    assert ask("/readyz?verbose=1").status == 503


def test_metrics_in_the_text_form(daemon: Daemon, ask: Ask) -> None:
    """As Prometheus reads it."""
    daemon.metrics.items_submitted.inc(3)
    answer = ask("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert b"\ntolokad_items_submitted_total 3.0\n" in answer.body
    ours = [family.name for family in parse(answer.body.decode()) if family.name.startswith("tolokad_")]
    there = [family.name for family in parse(generate_latest(daemon.metrics.registry).decode())]
    assert set(ours) == {name for name in there if name.startswith("tolokad_")}


def test_metrics_as_openmetrics_where_asked_for(ask: Ask) -> None:
    """Prometheus asks for it by default."""
    answer = ask("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


def test_the_status_for_machines(daemon: Daemon, ask: Ask) -> None:
    """Whatever the daemon tells of itself, also what JSON does not know."""
    daemon.status = {"open": 3, "partitions": {4: "submitting"}, "since": ConfigurationError("x")}
    assert ask("/status.json").json == {"open": 3, "partitions": {"4": "submitting"}, "since": "x"}


def test_the_status_for_people(daemon: Daemon, ask: Ask) -> None:
    """A page that shows the same, and no markup from outside."""
    daemon.status = {"topic": "<script>alert(1)</script>", "holds": [{"reason": "a&b"}], "none": []}
    daemon.ready = Health(ok=False)
    answer = ask("/")
    page = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "a&amp;b" in page
    assert "not ready" in page
    assert "not live" not in page


@pytest.mark.parametrize(
    "path", ["/health", "/metrics/", "/status", "/livez/x", "/%6civez", "/../livez", "/*"]
)
def test_anything_else_is_not_found(ask: Ask, path: str) -> None:
    """The stock server would answer metrics on every path."""
    assert ask(path).status == 404
    assert ask(path, "POST").status == 404


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics", "/status.json"])
def test_head_is_get_without_the_body(daemon: Daemon, path: str) -> None:
    """Some probes ask so."""
    with (
        daemon.server() as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as client,
    ):
        client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with client.makefile("rb") as stream:
            head = stream.read().decode()
    assert head.startswith("HTTP/1.1 200 ")
    assert head.endswith("\r\n\r\n")
    (length,) = [line for line in head.splitlines() if line.startswith("Content-Length: ")]
    assert int(length.removeprefix("Content-Length: ")) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(ask: Ask, method: str) -> None:
    """Other methods are told which ones there are."""
    answer = ask("/livez", method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_failing_part_is_an_error_without_its_text(daemon: Daemon, ask: Ask) -> None:
    """The log says what happened, the visitor does not learn it; the next request is answered."""
    daemon.status = {"broken": Unprintable()}
    with structlog.testing.capture_logs() as events:
        answer = ask("/status.json")
    assert (answer.status, answer.json) == (500, {"error": "Internal Server Error"})
    assert [event["event"] for event in events] == ["http_request_failed"]
    assert ask("/livez").status == 200


class Unprintable:
    """Something whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("secret")


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b""]
)
def test_noise_is_answered_without_a_trace(daemon: Daemon, noise: bytes) -> None:
    """A scanner neither stops the server nor writes into the log."""
    with daemon.server() as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                continue
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"


def test_no_version_is_told(ask: Ask) -> None:
    """Neither ours nor Python's."""
    assert ask("/livez").headers["Server"] == "tolokad"


def test_a_taken_port_is_a_mistake_in_the_settings(daemon: Daemon) -> None:
    """With the variable's name, before anything else starts."""
    with daemon.server() as server:
        port = server.port
        with pytest.raises(ConfigurationError) as caught:
            daemon.server(port=port).start()
    assert caught.value.problems == (f"TOLOKAD_HTTP__PORT: port {port} is taken on 127.0.0.1",)


def test_an_address_of_others_is_a_mistake_in_the_settings(daemon: Daemon) -> None:
    """Likewise."""
    with pytest.raises(ConfigurationError, match=r"TOLOKAD_HTTP__HOST: cannot listen on '192\.0\.2\.1'"):
        daemon.server("192.0.2.1").start()


def test_a_server_can_be_stopped_and_its_port_taken_again(daemon: Daemon) -> None:
    """Stopping twice, or before a start, does nothing."""
    server = daemon.server()
    server.stop()
    server.start()
    port = server.port
    server.stop()
    server.stop()
    with daemon.server(port=port) as again:
        assert again.port == port


def test_it_listens_on_ipv6(daemon: Daemon) -> None:
    """Clusters with IPv6 only exist."""
    with daemon.server("::1") as server:
        socket.create_connection(("::1", server.port), timeout=10).close()


def served(address: tuple[str, int]) -> bool:
    """Whether there is a place again."""
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            return client.recv(12) == b"HTTP/1.1 200"
    return False


def test_silent_clients_take_no_one_elses_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many the oldest makes room, and those that had their time are ended."""
    monkeypatch.setattr(http_threads, "MOST_CONNECTIONS", 2)
    routes = {"/livez": lambda _: json_response(http.HTTPStatus.OK, {})}
    with ThreadedServer(("127.0.0.1", 0), routes, connection_seconds=0.05) as server:
        address = ("127.0.0.1", int(server.server_address[1]))
        silent = [socket.create_connection(address, timeout=10) for _ in range(3)]
        for _ in silent:
            server.handle_request()
        assert silent[0].recv(1) == b""
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        assert [client.recv(1) for client in silent[1:]] == [b"", b""]
        for client in silent:
            client.close()
        while not served(address):
            continue
        server.shutdown()
        thread.join()
