"""`tolokad healthcheck`: a container asks every few seconds, so it opens as little of the house as it can."""

import argparse
import os

from daemon.cli.streams import complain
from daemon.edges.serving.probing import status_of

UNHEALTHY = 1
OK = 200
PROBE_SECONDS = 3.0
# The defaults of `HttpSettings`, without the library that checks settings: it takes 0.4 s to import.
HOST, PORT = "0.0.0.0", "8080"  # noqa: S104 - what the daemon listens on where nobody says


def check(_: argparse.Namespace) -> int:
    """Ask the daemon on this machine whether it lives."""
    host, port = _listening()
    # "All addresses" are reached at this one.
    host = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - see above
    try:
        status = status_of(host, port, "/livez", PROBE_SECONDS)
    except OSError as error:
        shown = f"[{host}]" if ":" in host else host
        complain(f"tolokad: http://{shown}:{port}/livez: {error}\n")
        return UNHEALTHY
    return 0 if status == OK else UNHEALTHY


def _listening() -> tuple[str, int]:
    """Where the daemon listens; a port that is no plain number is left to those who check settings."""
    host = os.environ.get("TOLOKAD_HTTP__HOST") or HOST
    port = os.environ.get("TOLOKAD_HTTP__PORT") or PORT
    if port.isascii() and port.isdigit():
        return host, int(port)
    from daemon.cli.answers import settings  # noqa: PLC0415 - see HOST

    return host, settings().http.port
