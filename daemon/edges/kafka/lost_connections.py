"""A request over a connection that is closed already finds it lost, on whatever event loop.

asyncio passes over what is written there, and the client fails the request once it has noticed. uvloop raises
RuntimeError, which the client would take for a defect of its own, and stop working over.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


def _lost_where_closed(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def sent(connection: AIOKafkaConnection, *given: Any, **named: Any) -> Any:
        try:
            return send(connection, *given, **named)
        except RuntimeError as error:
            # The client's own errors are such, too, as is what it says of a version that it does not know.
            if type(error) is not RuntimeError:
                raise
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"The connection is closed: {error}") from error

    return sent


def heed_closed_connections() -> None:
    """Have each connection of this process do so; the client makes them where nothing can be handed to it."""
    for name in ("send", "_send_sasl_token"):
        send = getattr(AIOKafkaConnection, name)
        if not hasattr(send, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _lost_where_closed(send))
