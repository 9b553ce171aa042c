"""The variables `TOLOKAD_KAFKA__…`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from daemon.settings import kinds
from daemon.settings.credentials import Secret, password
from daemon.settings.kinds import Says, Section, Shown

Topic = Annotated[
    str, AfterValidator(kinds.topic), Says("a topic name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
]
TlsFile = Annotated[Path | None, AfterValidator(kinds.readable_file), Says("a readable file")]


class KafkaSettings(Section):
    """The cluster, the consumer group and the topics."""

    bootstrap_servers: Annotated[
        tuple[str, ...],
        BeforeValidator(kinds.comma_list),
        AfterValidator(kinds.brokers),
        Says("host:port, several separated by commas", quiet=True),
        Shown("required"),
    ] = ()
    """Brokers to ask for the rest of the cluster: two or three, so that one may be down at start."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers, as in Kafka's own clients; the default is theirs."""

    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None, Shown("PLAIN with a SASL_ protocol")
    ] = None
    """How to prove who we are where the protocol is SASL_PLAINTEXT or SASL_SSL."""

    sasl_username: Annotated[str | None, AfterValidator(kinds.one_line), Says("one line of text")] = None
    """The user; required with a SASL_ protocol."""

    sasl_password: Annotated[SecretStr | None, Says("one line of text", quiet=True)] = None
    """The user's password; required with a SASL_ protocol. Secret: never shown."""

    sasl_password_file: Annotated[
        Path | None, AfterValidator(kinds.readable_file), Says("a readable file", quiet=True)
    ] = None
    """A file that holds the password instead; read again for each new connection."""

    ssl_cafile: TlsFile = None
    """A PEM file of the authorities that sign the brokers' certificates; without it, the system's."""

    ssl_certfile: TlsFile = None
    """A PEM file with our certificate, where the brokers ask for one; needs SSL_KEYFILE."""

    ssl_keyfile: TlsFile = None
    """A PEM file with the certificate's private key, not encrypted; needs SSL_CERTFILE."""

    group_id: Annotated[
        str, AfterValidator(kinds.group), Says("1 to 200 of a-z, A-Z, 0-9, '.', '_' and '-'")
    ] = "tolokad"
    """The consumer group that shares out the input, and the prefix of the transactional ids.

    Replicas of one deployment share it; two deployments must not.
    """

    input_topic: Topic = "moderation.items"
    """Where items come from; not compacted, kept for longer than the longest outage to survive."""

    output_topic: Topic = "moderation.results"
    """Where results go; to be read with `isolation.level=read_committed`."""

    dead_letter_topic: Topic = "moderation.dead-letters"
    """Where records go that cannot be submitted, unchanged, with the reason in their headers."""

    ledger_topic: Annotated[Topic, Shown("<group>.ledger")] = "tolokad.ledger"
    """The compacted topic of items that are at Toloka and not yet published."""

    cursor_topic: Annotated[Topic, Shown("<group>.cursors")] = "tolokad.cursors"
    """The compacted topic of bookmarks in Toloka's finished items."""

    create_topics: bool = False
    """Create missing topics with the right settings at start, which takes the right to do so."""

    session_timeout_seconds: Annotated[float, Field(ge=1, le=1800)] = 15
    """How long a silent replica keeps its partitions.

    Shorter hands over faster after a crash, longer survives longer pauses. Brokers allow 6 to 1800 seconds
    unless told otherwise.
    """

    start_from: Literal["earliest", "latest"] = "earliest"
    """Where to start where the group has no offset yet; `latest` leaves what is there unsent."""

    @property
    def collect_group_id(self) -> str:
        """The consumer group whose replicas agree on one collector."""
        return f"{self.group_id}.collect"

    @property
    def budget_topic(self) -> str:
        """The compacted topic of what was spent, where there is a limit."""
        return f"{self.group_id}.budget"

    @property
    def uses_sasl(self) -> bool:
        """Whether a user name and password are sent."""
        return self.security_protocol.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def sasl_secret(self) -> Secret:
        """Where the password comes from."""
        return password("TOLOKAD_KAFKA__SASL_PASSWORD", self.sasl_password, self.sasl_password_file)

    def read_sasl_password(self) -> str:
        """The password as it is now.

        Raises:
            ConfigurationError: there is none, or its file cannot be used.
        """
        return self.sasl_secret.read()
