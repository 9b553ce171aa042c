"""Starts that cannot succeed, each with the message and the exit code that must come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.canary import CANARY

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
OK, USAGE, UNAVAILABLE, NOT_PERMITTED, CONFIGURATION = 0, 64, 69, 77, 78


@dataclass(frozen=True)
class Run:
    """A command, what is changed in an environment in which all is well, and what must come of it.

    Attributes:
        code: the exit code.
        says: what the message holds: the variable or the thing, and the way out.
        given: variables less `TOLOKAD_`; an empty value takes one away. `{port}` and the like are filled in.
        arguments: of the command line.
        lines: how many lines the message has.
    """

    code: int
    says: tuple[str, ...]
    given: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    arguments: tuple[str, ...] = ("run",)
    lines: int = 1


SETTINGS: Final[Mapping[str, Run]] = {
    "no brokers": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__BOOTSTRAP_SERVERS", "is required", "host:port"),
        {"KAFKA__BOOTSTRAP_SERVERS": ""},
    ),
    "no broker's port": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__BOOTSTRAP_SERVERS", "host:port"),
        {"KAFKA__BOOTSTRAP_SERVERS": "localhost"},
    ),
    "no project": Run(
        CONFIGURATION, ("TOLOKAD_TOLOKA__PROJECT_ID", "is required"), {"TOLOKA__PROJECT_ID": ""}
    ),
    "no token": Run(CONFIGURATION, ("TOLOKAD_TOLOKA__TOKEN", "TOKEN_FILE"), {"TOLOKA__TOKEN": ""}),
    "two lines of token": Run(
        CONFIGURATION, ("TOLOKAD_TOLOKA__TOKEN", "printable ASCII"), {"TOLOKA__TOKEN": f"{CANARY}\n{CANARY}"}
    ),
    "token twice": Run(
        CONFIGURATION, ("TOLOKAD_TOLOKA__TOKEN", "twice", "use one"), {"TOLOKA__TOKEN_FILE": "{token_file}"}
    ),
    "no such token file": Run(
        CONFIGURATION,
        ("TOLOKAD_TOLOKA__TOKEN_FILE", "readable file"),
        {"TOLOKA__TOKEN": "", "TOLOKA__TOKEN_FILE": "nowhere"},
    ),
    "number too large": Run(
        CONFIGURATION, ("TOLOKAD_SUBMIT__MAX_ITEMS", "10000", "10001"), {"SUBMIT__MAX_ITEMS": "10001"}
    ),
    "no number": Run(
        CONFIGURATION,
        ("TOLOKAD_COLLECT__INTERVAL_SECONDS", "number", "'soon'"),
        {"COLLECT__INTERVAL_SECONDS": "soon"},
    ),
    "quarantine too short": Run(
        CONFIGURATION,
        ("TOLOKAD_SUBMIT__QUARANTINE_SECONDS", "at least twice"),
        {"SUBMIT__QUARANTINE_SECONDS": "39"},
    ),
    "token in clear": Run(
        CONFIGURATION,
        ("TOLOKAD_TOLOKA__URL", "https", "TOLOKAD_TOLOKA__ALLOW_HTTP"),
        {"TOLOKA__URL": "http://toloka.invalid"},
    ),
    "unknown choice": Run(CONFIGURATION, ("TOLOKAD_LOG__LEVEL", "INFO", "'LOUD'"), {"LOG__LEVEL": "LOUD"}),
    "no such time": Run(
        CONFIGURATION, ("TOLOKAD_COLLECT__START_AT", "earliest"), {"COLLECT__START_AT": "tomorrow"}
    ),
    "no user": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__SASL_USERNAME", "is required"),
        {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "KAFKA__SASL_PASSWORD": CANARY},
    ),
    "one topic twice": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__OUTPUT_TOPIC", "must differ", "INPUT_TOPIC"),
        {"KAFKA__OUTPUT_TOPIC": "{items}"},
    ),
    "nothing to do": Run(
        CONFIGURATION,
        ("TOLOKAD_SUBMIT__ENABLED", "TOLOKAD_COLLECT__ENABLED"),
        {"SUBMIT__ENABLED": "false", "COLLECT__ENABLED": "false"},
    ),
    "misspelt variable": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__BOOTSTRAP_SERVER:", "nearest is TOLOKAD_KAFKA__BOOTSTRAP_SERVERS"),
        {"KAFKA__BOOTSTRAP_SERVER": "localhost:9092"},
    ),
    "everything at once": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__BOOTSTRAP_SERVERS", "TOLOKAD_SUBMIT__MAX_ITEMS", "TOLOKAD_TOLOKA__TOKEN"),
        {"KAFKA__BOOTSTRAP_SERVERS": "", "SUBMIT__MAX_ITEMS": "0", "TOLOKA__TOKEN": ""},
        lines=3,
    ),
    "unknown command": Run(USAGE, ("tolokad", "'rum'"), arguments=("rum",), lines=2),
    "unknown option": Run(USAGE, ("tolokad", "--fast"), arguments=("run", "--fast"), lines=2),
}
WORLD: Final[Mapping[str, Run]] = {
    "missing topic": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__INPUT_TOPIC", "nowhere", "TOLOKAD_KAFKA__CREATE_TOPICS=true"),
        {"KAFKA__INPUT_TOPIC": "nowhere"},
    ),
    "input would be compacted": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__INPUT_TOPIC", "cleanup.policy=compact", "kafka-configs.sh"),
        {"KAFKA__INPUT_TOPIC": "{compacted}"},
    ),
    "ledger would forget": Run(
        CONFIGURATION,
        ("TOLOKAD_KAFKA__LEDGER_TOPIC", "cleanup.policy=delete", "kafka-configs.sh"),
        {"KAFKA__LEDGER_TOPIC": "{plain}"},
    ),
    "wrong token": Run(
        NOT_PERMITTED,
        ("TOLOKAD_TOLOKA__TOKEN", "refuses the credential", "TOLOKAD_TOLOKA__AUTH_SCHEME"),
        {"TOLOKA__TOKEN": f"{CANARY}.wrong"},
    ),
    "unknown project": Run(
        CONFIGURATION,
        ("TOLOKAD_TOLOKA__PROJECT_ID", "nobodys", "TOLOKAD_TOLOKA__URL"),
        {"TOLOKA__PROJECT_ID": "nobodys"},
    ),
    "port in use": Run(CONFIGURATION, ("TOLOKAD_HTTP__PORT", "{taken}"), {"HTTP__PORT": "{taken}"}),
    "no Kafka there": Run(
        UNAVAILABLE,
        ("TOLOKAD_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:{free}"),
        {"KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:{free}"},
    ),
    "no Toloka there": Run(
        UNAVAILABLE,
        ("TOLOKAD_TOLOKA__URL", "http://127.0.0.1:{free}"),
        {"TOLOKA__URL": "http://127.0.0.1:{free}"},
    ),
}
RUNS: Final = {**SETTINGS, **WORLD}
