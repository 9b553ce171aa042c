"""What a value may be: checks on one variable alone, and the words that say what was expected."""

import ipaddress
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Union, get_args, get_origin
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Secret, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

TOPIC_LETTERS = re.compile(r"[a-zA-Z0-9._-]{1,249}")
# Shorter than a topic's 249, so that `<group>.cursors` and `<group>.collect.<project>` still fit.
GROUP_LETTERS = re.compile(r"[a-zA-Z0-9._-]{1,200}")
ID_LETTERS = re.compile(r"[a-zA-Z0-9_-]{1,100}")
HOST_LETTERS = re.compile(r"[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\]")
LISTEN_LETTERS = re.compile(r"[a-zA-Z0-9._:%-]+")
# Bytes of the environment that are no UTF-8 arrive as lone surrogates, which nothing can send.
ONE_LINE = re.compile(r"[^\r\n\0\ud800-\udfff]+")
JSON_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
URL_PATH = re.compile(r"[a-zA-Z0-9._~%/-]*")
# What comes behind the address of a Toloka: written into it, every request would be answered with 404.
API_PATH = re.compile(r".*/api/(app|(app/)?v[0-9]+)")
KAFKA_OWN_TOPICS = frozenset({".", "..", "__consumer_offsets", "__transaction_state"})
HIGHEST_PORT = 65_535
MASK = "********"
# A day after the beginning of time: in every zone, and less any look back, it is after it.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
# The kind of error whose text says why, and holds nothing of what was given.
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Says:
    """The words after "must be" for a type that does not say it itself.

    Args:
        text: what a right value is.
        quiet: an error never repeats what was given, for a secret may have landed there.
    """

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """How the reference gives a default that is not a constant."""

    default: str


class ProxyUrl(Secret[str]):
    """An address whose user name and password are never shown."""

    def _display(self) -> str:
        parts = urlsplit(self.get_secret_value())
        user, at, host = parts.netloc.rpartition("@")
        return f"{parts.scheme}://{MASK if user else ''}{at}{host}"

    @property
    def passwords(self) -> tuple[str, ...]:
        """The password as it is written in the address and as it is meant; none if there is none."""
        quoted = urlsplit(self.get_secret_value()).password
        return tuple({quoted, unquote(quoted)}) if quoted else ()


class Section(BaseModel):
    """One part's variables: frozen, all named, never repeated by the library's own errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _spelling_of_choices(cls, value: object, info: ValidationInfo) -> object:
        """Let `info` stand for `INFO`: choices are compared without regard to case."""
        if not isinstance(value, str) or info.field_name is None:
            return value
        choices = choices_of(cls.model_fields[info.field_name].annotation)
        return next((choice for choice in choices if choice.casefold() == value.casefold()), value)


def without_none(annotation: object) -> object:
    """The type that is left of `X | None`."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    rest = [part for part in get_args(annotation) if part is not type(None)]
    return rest[0] if len(rest) == 1 else annotation


def choices_of(annotation: object) -> tuple[str, ...]:
    """The values of a `Literal`, also of an optional one; none for another type."""
    kind = without_none(annotation)
    return get_args(kind) if get_origin(kind) is Literal else ()


def comma_list(value: object) -> object:
    """Take `a, b` apart; an empty part stays, to be refused by name."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def distinct_upper(value: object) -> object:
    """Take `a, b` apart as upper-case names, none twice."""
    parts = comma_list(value.upper() if isinstance(value, str) else value)
    if isinstance(parts, tuple) and len(set(parts)) < len(parts):
        raise ValueError("repeated")
    return parts


def matching(pattern: re.Pattern[str], refused: frozenset[str] = frozenset()) -> Callable[[str], str]:
    """A check that a value is of this form, and none of these."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value) or value in refused:
            raise ValueError("letters")
        return value

    return check


# A legal name for a topic (Kafka's `Topic.validate`) that is not one of Kafka's own; a group's can begin one.
topic = matching(TOPIC_LETTERS, KAFKA_OWN_TOPICS)
group = matching(GROUP_LETTERS, KAFKA_OWN_TOPICS)
# A Toloka id: it becomes part of a path and of a transactional id.
identifier = matching(ID_LETTERS)
json_pointer = matching(JSON_POINTER)
one_line = matching(ONE_LINE)
listen_host = matching(LISTEN_LETTERS)
_host = matching(HOST_LETTERS)


def identifiers(value: tuple[str, ...]) -> tuple[str, ...]:
    """Each a Toloka id."""
    return tuple(map(identifier, value))


def brokers(value: tuple[str, ...]) -> tuple[str, ...]:
    """Each `host:port`, IPv6 addresses in brackets."""
    for server in value:
        host, _, port = server.rpartition(":")
        _host(host)
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= HIGHEST_PORT):
            raise ValueError("port")
    return value


def readable_file(value: Path) -> Path:
    """A regular file (or a link to one) that this process may read."""
    try:
        with value.open("rb"):
            pass
        if not value.is_file():
            raise PydanticCustomError(UNREADABLE, "it is not a regular file")
    except OSError as error:
        # The path stays out of the message: a secret may have been given in its place.
        raise PydanticCustomError(UNREADABLE, "{why}", {"why": error.strerror}) from None
    return value


def service_url(value: str) -> str:
    """An http or https address, bare, without its trailing slash; not that of an API below it."""
    parts = _address(value)
    if "@" in parts.netloc or set(value) & {"?", "#"} or not URL_PATH.fullmatch(parts.path):
        raise ValueError("not bare")
    if API_PATH.fullmatch(parts.path.rstrip("/")):
        raise ValueError("the API's own path")
    return value.rstrip("/")


def proxy_url(value: object) -> object:
    """An http or https address without a path; a user name and password may stand in it."""
    if isinstance(value, str) and (_address(value).path not in ("", "/") or set(value) & {"?", "#"}):
        raise ValueError("not a proxy")
    return value


def start_at(value: object) -> object:
    """`now`, `earliest`, or a time by ISO 8601; one without an offset is UTC."""
    if not isinstance(value, str) or value.casefold() in ("now", "earliest"):
        return value.casefold() if isinstance(value, str) else value
    time = datetime.fromisoformat(value)
    if time.replace(tzinfo=UTC) < EARLIEST:
        raise ValueError("before all that could be collected")
    return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)


def is_loopback(url: str) -> bool:
    """Whether a URL's host can only be this machine; a name other than localhost is looked up by no one."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(value: str) -> SplitResult:
    parts = urlsplit(value)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise ValueError("letters")
    if parts.scheme not in ("http", "https") or not HOST_LETTERS.fullmatch(host) or parts.port == 0:
        raise ValueError("no address")
    return parts
