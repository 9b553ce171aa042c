"""Each variable: its name, its default, and how a given value is read."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.settings import Settings, load, token_scheme, variables

REQUIRED = {
    "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "broker:9092",
    "TOLOKAD_TOLOKA__PROJECT_ID": "project-1",
    "TOLOKAD_TOLOKA__TOKEN": "canary-credential",
}
# The table of the reference, less its prefix, with the value that a deployment of the least variables gets.
DEFAULTS: dict[str, Any] = {
    "KAFKA__BOOTSTRAP_SERVERS": ("broker:9092",),
    "KAFKA__SECURITY_PROTOCOL": "PLAINTEXT",
    "KAFKA__SASL_MECHANISM": None,
    "KAFKA__SASL_USERNAME": None,
    "KAFKA__SASL_PASSWORD": None,
    "KAFKA__SASL_PASSWORD_FILE": None,
    "KAFKA__SSL_CAFILE": None,
    "KAFKA__SSL_CERTFILE": None,
    "KAFKA__SSL_KEYFILE": None,
    "KAFKA__GROUP_ID": "tolokad",
    "KAFKA__INPUT_TOPIC": "moderation.items",
    "KAFKA__OUTPUT_TOPIC": "moderation.results",
    "KAFKA__DEAD_LETTER_TOPIC": "moderation.dead-letters",
    "KAFKA__LEDGER_TOPIC": "tolokad.ledger",
    "KAFKA__CURSOR_TOPIC": "tolokad.cursors",
    "KAFKA__CREATE_TOPICS": False,
    "KAFKA__SESSION_TIMEOUT_SECONDS": 15,
    "KAFKA__START_FROM": "earliest",
    "TOLOKA__URL": "https://toloka.dev",
    "TOLOKA__ALLOW_HTTP": False,
    "TOLOKA__API": "app",
    "TOLOKA__PROJECT_ID": "project-1",
    "TOLOKA__POOL_ID": None,
    "TOLOKA__TOKEN_FILE": None,
    "TOLOKA__AUTH_SCHEME": "auto",
    "TOLOKA__ACCOUNT_ID": None,
    "TOLOKA__REQUESTS_PER_SECOND": 100,
    "TOLOKA__ITEMS_PER_MINUTE": 100_000,
    "TOLOKA__ITEMS_PER_DAY": 2_000_000,
    "TOLOKA__CA_FILE": None,
    "TOLOKA__PROXY": None,
    "TOLOKA__PROXY_FILE": None,
    "SUBMIT__ENABLED": True,
    "SUBMIT__MAX_ITEMS": 1000,
    "SUBMIT__MAX_BYTES": 4_000_000,
    "SUBMIT__LINGER_SECONDS": 0.5,
    "SUBMIT__REQUEST_TIMEOUT_SECONDS": 20,
    "SUBMIT__QUARANTINE_SECONDS": 120,
    "SUBMIT__FORCE_NEW_ORIGINAL": False,
    "SUBMIT__ITEM_POINTER": None,
    "SUBMIT__MAX_REJECTED_RATIO": 0.5,
    "SUBMIT__REJECTED_WINDOW_ITEMS": 1000,
    "TASKS__ASYNC_MODE": True,
    "TASKS__POOL_IDS": (),
    "TASKS__SKIP_INVALID_ITEMS": True,
    "TASKS__ALLOW_DEFAULTS": False,
    "TASKS__OPEN_POOL": False,
    "TASKS__ASSIGNMENT_STATUSES": ("SUBMITTED", "ACCEPTED"),
    "BUDGET__ITEMS_PER_DAY": None,
    "BUDGET__ITEMS_TOTAL": None,
    "BUDGET__MONEY_PER_DAY": None,
    "BUDGET__MONEY_TOTAL": None,
    "COLLECT__ENABLED": True,
    "COLLECT__INTERVAL_SECONDS": 1,
    "COLLECT__PAGE_SIZE": 1000,
    "COLLECT__OVERLAP_SECONDS": 60,
    "COLLECT__OVERLAP_EVERY_SECONDS": 30,
    "COLLECT__SWEEP_AFTER_SECONDS": 3600,
    "COLLECT__SWEEP_EVERY_SECONDS": 300,
    "COLLECT__UNKNOWN_ITEMS": "ignore",
    "COLLECT__START_AT": "now",
    "HTTP__HOST": "0.0.0.0",  # noqa: S104 - the reference's default
    "HTTP__PORT": 8080,
    "SHUTDOWN_SECONDS": 25,
    "LOG__LEVEL": "INFO",
    "LOG__FORMAT": "auto",
}
GIVEN: list[tuple[str, str, Any]] = [
    ("KAFKA__BOOTSTRAP_SERVERS", "a:1, b.example:9092,[::1]:65535", ("a:1", "b.example:9092", "[::1]:65535")),
    ("KAFKA__SECURITY_PROTOCOL", "ssl", "SSL"),
    ("KAFKA__INPUT_TOPIC", "A.b_c-9", "A.b_c-9"),
    ("KAFKA__INPUT_TOPIC", "a" * 249, "a" * 249),
    ("KAFKA__LEDGER_TOPIC", "my-ledger", "my-ledger"),
    ("KAFKA__CREATE_TOPICS", "true", True),
    ("KAFKA__SESSION_TIMEOUT_SECONDS", "6.5", 6.5),
    ("KAFKA__START_FROM", "latest", "latest"),
    ("TOLOKA__URL", "https://sandbox.toloka.dev/", "https://sandbox.toloka.dev"),
    ("TOLOKA__URL", "https://host:8443/behind/a/path//", "https://host:8443/behind/a/path"),
    ("TOLOKA__URL", "https://host/api", "https://host/api"),
    ("TOLOKA__URL", "http://127.0.0.1:80", "http://127.0.0.1:80"),
    ("TOLOKA__URL", "http://127.9.9.9", "http://127.9.9.9"),
    ("TOLOKA__URL", "http://[::1]:8080", "http://[::1]:8080"),
    ("TOLOKA__URL", "http://localhost:8080", "http://localhost:8080"),
    ("TOLOKA__AUTH_SCHEME", "apikey", "ApiKey"),
    ("TOLOKA__ACCOUNT_ID", "abc-123_X", "abc-123_X"),
    ("TOLOKA__REQUESTS_PER_SECOND", "0.5", 0.5),
    ("TOLOKA__REQUESTS_PER_SECOND", "1000000", 1_000_000),
    ("TOLOKA__ITEMS_PER_MINUTE", "1", 1),
    ("SUBMIT__ENABLED", "false", False),
    ("SUBMIT__MAX_ITEMS", "10000", 10_000),
    ("SUBMIT__MAX_BYTES", "1000", 1000),
    ("SUBMIT__LINGER_SECONDS", "0", 0),
    ("SUBMIT__QUARANTINE_SECONDS", "40", 40),
    ("SUBMIT__REQUEST_TIMEOUT_SECONDS", "60", 60),
    ("SUBMIT__ITEM_POINTER", "/a~0b/~1/0//", "/a~0b/~1/0//"),
    ("SUBMIT__MAX_REJECTED_RATIO", "1", 1),
    ("TASKS__POOL_IDS", "21, a-b", ("21", "a-b")),
    ("TASKS__ASSIGNMENT_STATUSES", "accepted , REJECTED", ("ACCEPTED", "REJECTED")),
    ("BUDGET__MONEY_PER_DAY", "12.50", Decimal("12.50")),
    ("BUDGET__ITEMS_TOTAL", "7", 7),
    ("COLLECT__PAGE_SIZE", "1", 1),
    ("COLLECT__UNKNOWN_ITEMS", "publish", "publish"),
    ("COLLECT__START_AT", "earliest", "earliest"),
    ("COLLECT__START_AT", "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("COLLECT__START_AT", "2026-01-31T12:00:00+03:00", datetime(2026, 1, 31, 9, tzinfo=UTC)),
    ("COLLECT__START_AT", "2026-01-31T12:00:00.250", datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)),
    ("HTTP__HOST", "::1", "::1"),
    ("HTTP__PORT", "0", 0),
    ("LOG__LEVEL", "debug", "DEBUG"),
    ("LOG__FORMAT", "JSON", "json"),
    ("SHUTDOWN_SECONDS", "2.5", 2.5),
]


def at(settings: Settings, name: str) -> object:
    """The value of a variable, found by its name."""
    value: object = settings
    for part in name.lower().split("__"):
        value = getattr(value, part)
    return value


def test_the_variables_are_those_of_the_reference() -> None:
    """No variable is missing, none is there that the reference does not name."""
    names = {variable.name.removeprefix("TOLOKAD_") for variable in variables()}
    assert names == set(DEFAULTS) | {"TOLOKA__TOKEN"}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_variable_that_is_not_set_has_its_default(name: str) -> None:
    """Only what is required needs to be set."""
    assert at(load(REQUIRED), name) == DEFAULTS[name]


@pytest.mark.parametrize(("name", "text", "value"), GIVEN)
def test_a_given_value_is_read(name: str, text: str, value: object) -> None:
    """A value arrives with its type."""
    read = at(load(REQUIRED | {f"TOLOKAD_{name}": text}), name)
    assert (read, type(read)) == (value, type(value)) or (read == value and isinstance(value, int))


@pytest.mark.parametrize("name", sorted({name for name, _, _ in GIVEN}))
def test_an_empty_value_counts_as_not_set(name: str) -> None:
    """A compose file passes unset variables on as empty ones."""
    assert at(load(dict.fromkeys([f"TOLOKAD_{name}"], "") | REQUIRED), name) == DEFAULTS[name]


def test_ledger_and_cursors_are_named_after_the_group() -> None:
    """Two deployments in one cluster get two ledgers."""
    kafka = load(REQUIRED | {"TOLOKAD_KAFKA__GROUP_ID": "team-a"}).kafka
    assert (kafka.ledger_topic, kafka.cursor_topic) == ("team-a.ledger", "team-a.cursors")


@pytest.mark.parametrize(("given", "expected"), [("", 1_000_000), ("1048576", 1_048_576)])
def test_task_requests_are_smaller_unless_told_otherwise(given: str, expected: int) -> None:
    """The tasks API refuses a megabyte of input values."""
    environ = {
        "TOLOKAD_TOLOKA__API": "tasks",
        "TOLOKAD_TOLOKA__POOL_ID": "1",
        "TOLOKAD_SUBMIT__MAX_BYTES": given,
    }
    assert load(REQUIRED | environ).submit.max_bytes == expected


def test_plain_is_the_mechanism_with_sasl() -> None:
    """As in Kafka's Python clients."""
    sasl = {"SECURITY_PROTOCOL": "sasl_ssl", "SASL_USERNAME": "user", "SASL_PASSWORD": "canary"}
    kafka = load(REQUIRED | {f"TOLOKAD_KAFKA__{name}": value for name, value in sasl.items()}).kafka
    assert (kafka.sasl_mechanism, kafka.uses_sasl, kafka.uses_tls) == ("PLAIN", True, True)


def test_http_to_any_host_where_it_is_allowed() -> None:
    """A simulator in a compose network has a name and no certificate."""
    environ = {"TOLOKAD_TOLOKA__URL": "http://simulator:8080", "TOLOKAD_TOLOKA__ALLOW_HTTP": "true"}
    assert load(REQUIRED | environ).toloka.url == "http://simulator:8080"


@pytest.mark.parametrize("name", ["SSL_CAFILE", "SSL_CERTFILE"])
def test_files_for_tls(name: str, tmp_path: Path) -> None:
    """A file's path is taken when it can be read."""
    pem = tmp_path / "some.pem"
    pem.write_text("pem")
    environ = {"SECURITY_PROTOCOL": "SSL", name: str(pem)}
    if name == "SSL_CERTFILE":
        environ["SSL_KEYFILE"] = str(pem)
    kafka = load(REQUIRED | {f"TOLOKAD_KAFKA__{key}": value for key, value in environ.items()}).kafka
    assert getattr(kafka, name.lower()) == pem


def test_a_time_without_an_offset_is_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the container thinks it is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        settings = load(REQUIRED | {"TOLOKAD_COLLECT__START_AT": "2026-01-31T12:00:00"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert settings.collect.start_at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_settings_are_frozen() -> None:
    """Nothing changes what a deployment decided."""
    settings = load(REQUIRED)
    with pytest.raises(ValidationError):
        settings.submit.max_items = 5
    with pytest.raises(ValidationError):
        settings.shutdown_seconds = 5


def test_nothing_but_the_given_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the process's own variables nor a .env file reach the settings."""
    (tmp_path / ".env").write_text("TOLOKAD_SUBMIT__MAX_ITEMS=7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOLOKAD_SUBMIT__MAX_ITEMS", "8")
    assert load(REQUIRED).submit.max_items == 1000
    assert Settings().submit.max_items == 1000


@pytest.mark.parametrize(
    "name", ["TOLOKAD_SERVICE_HOST", "TOLOKAD_SERVICE_PORT_HTTP", "TOLOKAD_PORT", "TOLOKAD_PORT_80_TCP_ADDR"]
)
def test_what_kubernetes_injects_is_left_alone(name: str) -> None:
    """A Service named tolokad gives every pod such variables."""
    assert load(REQUIRED | {name: "tcp://10.0.0.1:80"}) == load(REQUIRED)


@pytest.mark.parametrize(
    ("credential", "scheme"),
    [
        ("a" * 22 + ".b.c", "ApiKey"),
        ("a" * 23 + ".b.c", "ApiKey"),
        ("a" * 24 + ".b.c", "ApiKey"),
        ("a" * 21 + ".b.c", "OAuth"),
        ("a" * 25 + ".b.c", "OAuth"),
        ("a" * 22 + ".b", "OAuth"),
        ("a" * 22 + ".b.c.d", "OAuth"),
        ("a" * 22 + "..", "ApiKey"),
        ("AQAAplain", "OAuth"),
    ],
)
def test_an_api_key_is_told_by_its_dots(credential: str, scheme: str) -> None:
    """The rule of Toloka's own clients."""
    assert token_scheme(credential) == scheme
    environ = REQUIRED | {"TOLOKAD_TOLOKA__TOKEN": credential}
    assert load(environ).toloka.authorization() == f"{scheme} {credential}"


def test_the_scheme_can_be_said() -> None:
    """AUTH_SCHEME overrides the rule."""
    environ = REQUIRED | {"TOLOKAD_TOLOKA__AUTH_SCHEME": "ApiKey"}
    assert load(environ).toloka.authorization() == "ApiKey canary-credential"
