"""One question over HTTP to a server on this machine, with nothing but a socket."""

import socket

STATUS_LINE_BYTES = 64


def status_of(host: str, port: int, path: str, timeout_seconds: float) -> int:
    """The status code with which a server answers a GET; no proxy is asked, no redirect followed.

    Args:
        host: a name or an address.
        port: of the server.
        path: beginning with a slash.
        timeout_seconds: for connecting, and for each piece of the answer.

    Raises:
        OSError: there is no answer, or it is not HTTP.
    """
    with socket.create_connection((host, port), timeout_seconds) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while len(answer) < STATUS_LINE_BYTES and b"\r\n" not in answer and (piece := connection.recv(1024)):
            answer += piece
    match answer.partition(b"\r\n")[0].split():
        case [protocol, code, *_] if protocol.startswith(b"HTTP/1.") and code.isdigit():
            return int(code)
    raise ConnectionError(f"no HTTP answer: {answer[:STATUS_LINE_BYTES]!r}")
