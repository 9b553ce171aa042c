"""What every Kafka client here shares: how to connect, how errors translate, how to stop in bounded time.

The client's `stop()` may hang, or raise a stray cancellation, while brokers are away: it is bounded, and
then the client is closed by force.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup

from daemon.edges.trust import client_context, complaint, system_authorities
from daemon.errors import ConfigurationError, Fenced, Held, Transient
from daemon.settings import KafkaSettings

ANSWER_SECONDS = 20.0
STOP_SECONDS = 3.0
CLOSE_SECONDS = 0.5
PREFIX = "TOLOKAD_KAFKA__"

DENIED = (
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.TransactionalIdAuthorizationFailed,
    kafka_errors.ClusterAuthorizationFailedError,
)
TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)


def connection(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """The arguments that every client of a running replica takes.

    Raises:
        Held: `kafka`: a file of ours cannot be used now; it may be just being replaced.
    """
    try:
        return arguments(settings, client_id)
    except ConfigurationError as error:
        raise Held("kafka", str(error)) from error


def arguments(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """The arguments that every client of the cluster takes.

    Raises:
        ConfigurationError: a file of a password, of a certificate, of its key or of authorities is unusable.
    """
    given: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "client_id": client_id,
        "security_protocol": settings.security_protocol,
    }
    if settings.uses_sasl:
        given["sasl_mechanism"] = settings.sasl_mechanism
        given["sasl_plain_username"] = settings.sasl_username
    return given | _of_files(settings)


def _of_files(settings: KafkaSettings) -> dict[str, Any]:
    """Those of the arguments that files hold, as they are now; raises as `arguments`."""
    given: dict[str, Any] = {}
    if settings.uses_tls:
        given["ssl_context"] = tls_context(settings)
    if settings.uses_sasl:
        given["sasl_plain_password"] = settings.read_sasl_password()
    return given


def keep_current(client: AIOKafkaClient, settings: KafkaSettings) -> None:
    """Have a client that lives as long as the process come with the files as they are by then.

    It keeps the password and the certificate that it was made with: once these are rotated, no broker would
    ever let it in again.
    """
    connect, connections = client._get_conn, client._conns  # noqa: SLF001 - all of them, but for the first

    async def current(node_id: int, *, group: int = ConnectionGroup.DEFAULT, **named: Any) -> Any:
        there = connections.get((node_id, group))
        if there is None or not there.connected():
            # A file that is just being replaced: it is asked for again soon.
            with suppress(ConfigurationError):
                for name, value in _of_files(settings).items():
                    setattr(client, f"_{name}", value)
        return await connect(node_id, group=group, **named)

    if settings.uses_sasl or settings.uses_tls:
        client._get_conn = current  # noqa: SLF001 - see above


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Whom to trust, and the certificate that we come with.

    Raises:
        ConfigurationError: naming the variable whose file cannot be used.
    """
    ours = system_authorities() if settings.ssl_cafile is None else (settings.ssl_cafile,)
    try:
        context = client_context(*ours)
    except OSError as error:
        raise ConfigurationError(f"{PREFIX}SSL_CAFILE: cannot be used: {complaint(error)}") from None
    if settings.ssl_certfile is not None:
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, _refuse_encrypted)
        except ssl.SSLError as error:
            # OpenSSL does not say which of the two files it stumbled over.
            both = f"{PREFIX}SSL_CERTFILE with {PREFIX}SSL_KEYFILE"
            wrong = error.reason == "KEY_VALUES_MISMATCH"
            what = "do not belong together" if wrong else "are not a certificate and its key, in PEM form"
            raise ConfigurationError(f"{both}: {what}") from None
        except OSError as error:
            raise ConfigurationError(f"{PREFIX}SSL_CERTFILE: cannot be used: {complaint(error)}") from None
    return context


def _refuse_encrypted() -> str:
    """Called for a key's pass phrase, for which OpenSSL would otherwise ask at the terminal."""
    raise ConfigurationError(f"{PREFIX}SSL_KEYFILE: is encrypted: give a key without a pass phrase")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the client's errors into ours; `doing` names the act and the thing, for the operator.

    Raises:
        Fenced, Held, Transient: with the client's error as the cause.
    """
    try:
        yield
    except kafka_errors.InvalidProducerEpoch as error:
        raise Fenced(f"{doing}: fenced") from error
    except DENIED as error:
        # The client's words name the topics that are denied.
        raise Held("not_permitted", f"{doing}: Kafka denies it: {error}") from error
    except TOO_LARGE as error:
        detail = f"{doing}: a record is larger than its topic's max.message.bytes: raise it"
        raise Held("too_large", detail) from error
    except kafka_errors.OffsetMetadataTooLargeError as error:
        detail = f"{doing}: an intent is larger than the brokers' offset.metadata.max.bytes: set it to 4096"
        raise Held("kafka", detail) from error
    except kafka_errors.InvalidTimestampError as error:
        detail = f"{doing}: this machine's clock is too far from the broker's: set it right"
        raise Held("kafka", detail) from error
    except kafka_errors.InvalidSessionTimeoutError as error:
        detail = (
            f"{doing}: the brokers do not allow {PREFIX}SESSION_TIMEOUT_SECONDS as it is: set it between"
            " their group.min.session.timeout.ms and group.max.session.timeout.ms"
        )
        raise Held("kafka", detail) from error
    except TimeoutError as error:
        # What was in the way, where that is known.
        cause = f": {error}" if str(error) else ""
        raise Transient(f"{doing}: no answer in time{cause}") from error
    # What the client finds wrong with itself are bare assertions, and a closing client's sockets OSErrors.
    except (kafka_errors.KafkaError, AssertionError, OSError) as error:
        # Kafka's own errors begin with their names.
        named = (
            str(error) if isinstance(error, kafka_errors.KafkaError) else f"{type(error).__name__}: {error}"
        )
        raise Transient(f"{doing}: {named}") from error


@asynccontextmanager
async def answering(seconds: float, *clients: AIOKafkaClient) -> AsyncIterator[None]:
    """Bound the wait for an answer; where none comes, the clients' connections are given up.

    One that a firewall has dropped without a word is silent for ever, and the client itself would notice only
    where it may wait for longer than we do: every question would go down the same hole.

    Raises:
        TimeoutError: no answer came.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        for client in clients:
            for connection in list(client._conns.values()):  # noqa: SLF001 - it names them nowhere else
                connection.close()
        raise


async def stop(client: Any, seconds: float = STOP_SECONDS) -> None:
    """Stop a client within a bounded time; by force where it does not."""
    # Those that are made of one name their end otherwise.
    task = asyncio.ensure_future(client.stop() if hasattr(client, "stop") else client.close())
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await _close_by_force(client)
    await asyncio.wait({task}, timeout=seconds)
    # A stray CancelledError of the client's own is no cancellation of ours; it is dropped like any error.
    # It may have come before the connections were closed.
    if task.done() and (task.cancelled() or task.exception() is not None):
        await _close_by_force(client)


async def _close_by_force(client: Any) -> None:
    """Close the connections that a hanging `stop()` leaves open."""
    inner = getattr(client, "client", None) or getattr(client, "_client", None) or client
    await asyncio.wait({asyncio.ensure_future(inner.close())}, timeout=CLOSE_SECONDS)
