"""The question that a container's health check asks."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.cli import main
from daemon.edges.serving.probing import status_of


@contextmanager
def answering(*pieces: bytes) -> Iterator[int]:
    """A server that answers one connection in these pieces; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.recv(1024)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize("pieces", [(b"HTTP/1.1 503 No\r\n\r\n",), (b"HT", b"TP/1.0 503", b" x\r\n")])
def test_status(pieces: tuple[bytes, ...]) -> None:
    """The status is read however the answer is cut into pieces."""
    with answering(*pieces) as port:
        assert status_of("127.0.0.1", port, "/livez", 5) == 503


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1", b"SSH-2.0-x\r\n", b"x" * 200])
def test_no_answer(answer: bytes) -> None:
    """What is no HTTP is no answer."""
    with answering(answer) as port, pytest.raises(ConnectionError, match="no HTTP answer"):
        status_of("127.0.0.1", port, "/livez", 5)


@pytest.mark.parametrize(
    ("answer", "code"), [(b"HTTP/1.0 200 OK\r\n\r\n", 0), (b"HTTP/1.0 503 No\r\n\r\n", 1)]
)
def test_healthcheck(answer: bytes, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`healthcheck` says by its exit code whether the daemon lives, and needs no other setting."""
    with answering(answer) as port:
        monkeypatch.setenv("TOLOKAD_HTTP__PORT", str(port))
        assert main(["healthcheck"]) == code


def test_healthcheck_with_a_wrong_port(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that is no number is told as at a start."""
    monkeypatch.setenv("TOLOKAD_HTTP__PORT", "many")
    assert main(["healthcheck"]) == 78
    assert "TOLOKAD_HTTP__PORT: must be" in capsys.readouterr().err
