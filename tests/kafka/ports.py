"""Free TCP ports that stay free while their server is down."""

import random
import socket

from tests.kafka.errors import KafkaUnavailableError

# Below the range from which the kernel takes the ports of outgoing connections (32768 and up by
# default): a client that keeps dialling a stopped server's port on loopback can otherwise be given
# that very port as its own, connect to itself, and keep the server from coming back.
LOWEST_PORT = 15_000
HIGHEST_PORT = 32_767
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port nobody listens on, chosen at random so that parallel runs seldom collide.

    Raises:
        KafkaUnavailableError: no free port was found.
    """
    # Not the seeded generator of a test: two processes with the same seed would collide every time.
    dice = random.SystemRandom()
    for _ in range(ATTEMPTS):
        port = dice.randint(LOWEST_PORT, HIGHEST_PORT)
        if is_free(port):
            return port
    raise KafkaUnavailableError(f"no free port between {LOWEST_PORT} and {HIGHEST_PORT}")
