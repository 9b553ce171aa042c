"""Why the brokers do not let us in: the client reports every failure alike, as a broker that is away."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import errors as kafka_errors
from aiokafka.conn import create_conn

from daemon.edges.kafka.kafka_client import PREFIX, arguments, tls_context
from daemon.edges.trust import client_context
from daemon.errors import ConfigurationError, NotPermittedAtStart
from daemon.settings import KafkaSettings

ANSWER_SECONDS = 5.0
# ApiVersions, version 0, without a client id: what a broker answers before it knows who asks.
_QUESTION = struct.pack(">ihhih", 10, 18, 0, 0, -1)
# SaslHandshake, version 1, without a client id, for the mechanism PLAIN: answered by every listener.
_LOGIN = struct.pack(">ihhihh5s", 17, 17, 1, 0, -1, 5, b"PLAIN")
# Size, correlation id, error code; and the codes of a listener where one logs in, by PLAIN or otherwise
# (UNSUPPORTED_SASL_MECHANISM), and of one where nobody does (ILLEGAL_SASL_STATE). Any other tells nothing.
_ANSWER = struct.Struct(">iih")
_LOGINS = frozenset({0, 33})
_NO_LOGIN = 34
# Of what a server's TLS says as it hangs up: that which is about the certificate that we came with, or not.
_ABOUT_US = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")
_REFUSED = (
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.AuthenticationFailedError,
    kafka_errors.AuthenticationMethodNotSupported,
)


async def insist_on_welcome(settings: KafkaSettings, client_id: str) -> None:
    """Knock at each broker that the settings name; returns where none says anything that waiting cannot mend.

    Raises:
        ConfigurationError: a broker's certificate is not trusted, or it does not take our mechanism or speak
            our protocol.
        NotPermittedAtStart: a broker refuses our certificate, or the user and password.
    """
    for server in settings.bootstrap_servers:
        host, _, port = server.rpartition(":")
        async with _patience():
            if settings.uses_tls:
                await _shake_hands(settings, server, host.strip("[]"), int(port))
            if settings.uses_sasl:
                await _log_in(settings, client_id, server, host.strip("[]"), int(port))
        async with _patience():
            await _insist_on_protocol(settings, server, host.strip("[]"), int(port))


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """Pass over what is away, or silent for too long."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            yield


async def _shake_hands(settings: KafkaSettings, server: str, host: str, port: int) -> None:
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=tls_context(settings))
        try:
            writer.write(_QUESTION)
            # A server refuses a certificate only after our side of the handshake is over.
            await reader.read(1)
        finally:
            writer.transport.abort()
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"{PREFIX}SSL_CAFILE: the certificate of the broker {server} is not trusted:"
            f" {error.verify_message}. Name the file of the authority that signed it"
        ) from None
    except ssl.SSLError as error:
        reason = error.reason or ""
        if "ALERT" in reason and any(word in reason for word in _ABOUT_US):
            raise _unwelcome(settings, server, reason) from None
        raise


def _unwelcome(settings: KafkaSettings, server: str, reason: str) -> NotPermittedAtStart:
    if settings.ssl_certfile is None:
        return NotPermittedAtStart(
            f"{PREFIX}SSL_CERTFILE: the broker {server} asks for a certificate, and none is given:"
            f" set it, and {PREFIX}SSL_KEYFILE"
        )
    said = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
    return NotPermittedAtStart(
        f"{PREFIX}SSL_CERTFILE: the broker {server} refuses our certificate ({said}):"
        " is it in date, and signed by an authority that the brokers trust?"
    )


async def _log_in(settings: KafkaSettings, client_id: str, server: str, host: str, port: int) -> None:
    ours = arguments(settings, client_id)
    del ours["bootstrap_servers"]
    try:
        connection = await create_conn(host, port, **ours)
    except _REFUSED as error:
        raise NotPermittedAtStart(
            f"{PREFIX}SASL_USERNAME, {PREFIX}SASL_PASSWORD: the broker {server} refuses them: {error}"
        ) from None
    except kafka_errors.UnsupportedSaslMechanismError as error:
        raise ConfigurationError(
            f"{PREFIX}SASL_MECHANISM: the broker {server} does not take it: {error}"
        ) from None
    except kafka_errors.KafkaError:
        # Not there, or no Kafka: the same as before, and waiting may mend it.
        return
    connection.close()


async def _insist_on_protocol(settings: KafkaSettings, server: str, host: str, port: int) -> None:
    ours = settings.security_protocol
    # Ours first: a broker that speaks it is away for another reason.
    for tls in (settings.uses_tls, not settings.uses_tls):
        spoken = await _spoken(host, port, _context(settings) if tls else None)
        if spoken and ours not in spoken:
            raise ConfigurationError(
                f"{PREFIX}SECURITY_PROTOCOL: the broker {server} speaks {' or '.join(spoken)}, and not {ours}"
            )
        if spoken:
            return


def _context(settings: KafkaSettings) -> ssl.SSLContext:
    """As the settings say; where they say nothing of TLS, for somebody whom we tell nothing secret."""
    if settings.uses_tls:
        return tls_context(settings)
    context = client_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _spoken(host: str, port: int, tls: ssl.SSLContext | None) -> tuple[str, ...]:
    """The security protocols that a broker may be speaking there; none where it does not answer this way."""
    try:
        return await _asked(host, port, tls, "PLAINTEXT" if tls is None else "SSL")
    except ssl.SSLError as error:
        # It may ask for a certificate before it says anything else.
        return ("SSL", "SASL_SSL") if "ALERT" in (error.reason or "") else ()


async def _asked(host: str, port: int, context: ssl.SSLContext | None, protocol: str) -> tuple[str, ...]:
    """Ask a broker how one logs in."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        try:
            writer.write(_LOGIN)
            _, answers_to, error = _ANSWER.unpack(await reader.readexactly(_ANSWER.size))
        finally:
            writer.transport.abort()
        if answers_to == 0 and error in {_NO_LOGIN, *_LOGINS}:
            return (protocol,) if error == _NO_LOGIN else (f"SASL_{protocol}",)
    return ()
