"""What the parts must be to each other: checks that no variable can make alone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations

from daemon.errors import ConfigurationError
from daemon.settings.kinds import is_loopback
from daemon.settings.root import Settings

TASKS_MAX_ITEMS = 5_000
CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold.

    Args:
        variable: the variable to blame, without the prefix.
        text: what is wrong with it, and what is right.
        others: further variables it depends on; when one of these is itself wrong, nothing can be said.
    """

    variable: str
    text: str
    others: tuple[str, ...] = ()


def broken(settings: Settings) -> Iterator[Broken]:
    """Every rule that these settings break."""
    for rule in _RULES:
        yield from rule(settings)


def _required(settings: Settings) -> Iterator[Broken]:
    toloka = settings.toloka
    if not settings.kafka.bootstrap_servers:
        yield Broken("KAFKA__BOOTSTRAP_SERVERS", "is required: host:port, several separated by commas")
    if toloka.api == "app" and toloka.project_id is None:
        yield Broken("TOLOKA__PROJECT_ID", "is required with TOLOKAD_TOLOKA__API=app", ("TOLOKA__API",))
    if toloka.api == "tasks" and toloka.pool_id is None:
        yield Broken("TOLOKA__POOL_ID", "is required with TOLOKAD_TOLOKA__API=tasks", ("TOLOKA__API",))
    if not (settings.submit.enabled or settings.collect.enabled):
        text = "must be true, or TOLOKAD_COLLECT__ENABLED: with both false there is nothing to do"
        yield Broken("SUBMIT__ENABLED", text, ("COLLECT__ENABLED",))


def _secrets(settings: Settings) -> Iterator[Broken]:
    yield from _unusable(settings.toloka.read_token, "TOLOKA__TOKEN")
    yield from _unusable(settings.toloka.read_proxy, "TOLOKA__PROXY")
    if settings.kafka.uses_sasl:
        yield from _unusable(
            settings.kafka.read_sasl_password, "KAFKA__SASL_PASSWORD", "KAFKA__SECURITY_PROTOCOL"
        )


def _unusable(read: Callable[[], object], variable: str, *others: str) -> Iterator[Broken]:
    try:
        read()
    except ConfigurationError as error:
        name, _, text = error.problems[0].partition(": ")
        blamed = variable + "_FILE" if name.endswith("_FILE") else variable
        yield Broken(blamed, text, (variable, variable + "_FILE", *others))


def _sasl(settings: Settings) -> Iterator[Broken]:
    kafka = settings.kafka
    protocol = ("KAFKA__SECURITY_PROTOCOL",)
    if kafka.uses_sasl and not kafka.sasl_username:
        text = f"is required with TOLOKAD_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol}"
        yield Broken("KAFKA__SASL_USERNAME", text, protocol)
    given = {
        "SASL_MECHANISM": kafka.sasl_mechanism,
        "SASL_USERNAME": kafka.sasl_username,
        "SASL_PASSWORD": kafka.sasl_password,
        "SASL_PASSWORD_FILE": kafka.sasl_password_file,
    }
    if not kafka.uses_sasl:
        yield from _without_effect(given, "SASL_PLAINTEXT or SASL_SSL")


def _tls(settings: Settings) -> Iterator[Broken]:
    kafka = settings.kafka
    given = {
        "SSL_CAFILE": kafka.ssl_cafile,
        "SSL_CERTFILE": kafka.ssl_certfile,
        "SSL_KEYFILE": kafka.ssl_keyfile,
    }
    if not kafka.uses_tls:
        yield from _without_effect(given, "SSL or SASL_SSL")
    pair = ("KAFKA__SSL_CERTFILE", "KAFKA__SSL_KEYFILE")
    if kafka.ssl_certfile and not kafka.ssl_keyfile:
        yield Broken(pair[1], f"is required with TOLOKAD_{pair[0]} (one file may hold both)", pair)
    if kafka.ssl_keyfile and not kafka.ssl_certfile:
        yield Broken(pair[0], f"is required with TOLOKAD_{pair[1]}", pair)


def _without_effect(given: Mapping[str, object], protocols: str) -> Iterator[Broken]:
    text = f"has no effect unless TOLOKAD_KAFKA__SECURITY_PROTOCOL is {protocols}"
    for variable, value in given.items():
        if value is not None:
            yield Broken(f"KAFKA__{variable}", text, ("KAFKA__SECURITY_PROTOCOL",))


def _topics(settings: Settings) -> Iterator[Broken]:
    fields = ("input_topic", "output_topic", "dead_letter_topic", "ledger_topic", "cursor_topic")
    # Kafka takes "." and "_" for the same letter in the names of its metrics and refuses such pairs.
    names = {f"KAFKA__{field.upper()}": getattr(settings.kafka, field).replace("_", ".") for field in fields}
    for (one, name), (other, same) in combinations(names.items(), 2):
        if name == same:
            text = f"must differ from TOLOKAD_{one} (Kafka takes '.' and '_' for the same)"
            yield Broken(other, text, (one, "KAFKA__GROUP_ID"))
    # No variable names the spend guard's topic: whichever has its name is to blame.
    budget = settings.kafka.budget_topic
    for variable, name in names.items():
        if settings.budget.limited and name == budget.replace("_", "."):
            text = f"must differ from {budget}, the spend guard's (Kafka takes '.' and '_' for the same)"
            yield Broken(variable, text, ("KAFKA__GROUP_ID",))


def _url(settings: Settings) -> Iterator[Broken]:
    toloka = settings.toloka
    if toloka.url.startswith("http://") and not (toloka.allow_http or is_loopback(toloka.url)):
        text = "must be https, for the credential goes with it (or TOLOKAD_TOLOKA__ALLOW_HTTP=true)"
        yield Broken("TOLOKA__URL", text, ("TOLOKA__ALLOW_HTTP",))


def _submission(settings: Settings) -> Iterator[Broken]:
    submit = settings.submit
    if settings.toloka.api == "tasks" and submit.max_items > TASKS_MAX_ITEMS:
        text = f"must be at most {TASKS_MAX_ITEMS} with TOLOKAD_TOLOKA__API=tasks, not {submit.max_items}"
        yield Broken("SUBMIT__MAX_ITEMS", text, ("TOLOKA__API",))
    if submit.quarantine_seconds < 2 * submit.request_timeout_seconds:
        text = (
            "must be at least twice TOLOKAD_SUBMIT__REQUEST_TIMEOUT_SECONDS, that is "
            f"{2 * submit.request_timeout_seconds:g}, not {submit.quarantine_seconds:g}"
        )
        yield Broken("SUBMIT__QUARANTINE_SECONDS", text, ("SUBMIT__REQUEST_TIMEOUT_SECONDS",))


def _collection(settings: Settings) -> Iterator[Broken]:
    start_at = settings.collect.start_at
    if isinstance(start_at, datetime) and start_at > datetime.now(UTC) + CLOCKS_APART:
        yield Broken("COLLECT__START_AT", f"must not be later than now, not {start_at:%Y-%m-%dT%H:%M:%SZ}")


_RULES: tuple[Callable[[Settings], Iterator[Broken]], ...] = (
    _required,
    _secrets,
    _sasl,
    _tls,
    _topics,
    _url,
    _submission,
    _collection,
)
