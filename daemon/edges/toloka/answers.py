"""What Toloka's refusals say (`code`, `message`, `payload`); every part of them may be anything."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import structlog

from daemon.edges.toloka.clocks import parse_date
from daemon.edges.toloka.sending import Answer, LineError
from daemon.model import Flaw, InDoubt, NotNow, Rejected, TooLarge

MESSAGE_LETTERS = 300
CODE_LETTERS = 100
LONGEST_WAIT_SECONDS = 86_400.0

_REASONS = {401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict", 429: "throttled"}
_REDIRECTS = range(300, 400)
# Definite: nothing was carried out. One that has no reason of its own above refuses the request itself: our
# own defect, or another API than the one we know.
_REFUSED = range(400, 500)
# What stands in the way of every item. Of most of these it is not documented whether they come with a 409.
_CONFLICTS = frozenset(
    {
        "CONFLICT_STATE",
        "EMPTY_POOL",
        "INAPPROPRIATE_STATUS",
        "MIXER_CONFIG_REQUIRED",
        "NOT_ENOUGH_BALANCE",
        "POOL_INAPPROPRIATE_STATUS",
        "POOL_LOCKED_BY_ANOTHER_OPERATION",
        "POOL_TASKS_COUNT_EXCEEDED",
        "PROJECT_INAPPROPRIATE_STATUS",
    }
)
_INTERVAL_SECONDS = {"MIN": 60.0, "HOUR": 3600.0, "DAY": 86_400.0}
# A fraction is no form that a server may send (RFC 7231, 7.1.3); it is clear all the same what is meant.
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error's body: short, printable, and empty where it says nothing."""

    code: str
    message: str
    request_id: str | None
    payload: Mapping[str, Any]

    def flaw(self, status: int) -> Flaw:
        """As the reason why records cannot be submitted; a body that says nothing leaves the status."""
        message = self.message or f"Toloka answered {status}"
        return Flaw(self.code or f"HTTP_{status}", message, self.request_id)


def complaint(answer: Answer) -> Complaint:
    """What an error's body says."""
    try:
        body = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        body = None
    members = body if isinstance(body, dict) else {}
    payload = members.get("payload")
    return Complaint(
        code=text(members.get("code"), CODE_LETTERS),
        message=text(members.get("message"), MESSAGE_LETTERS),
        request_id=text(members.get("request_id"), CODE_LETTERS) or None,
        payload=payload if isinstance(payload, dict) else {},
    )


def text(value: object, letters: int) -> str:
    """At most so many printable letters; nothing where it is no text."""
    if not isinstance(value, str):
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in value[:letters]).strip()


def field_flaw(error: Any, field: str | None, whole: Flaw) -> Flaw:
    """What is wrong with one field of an item; what its error leaves unsaid, the whole refusal says."""
    members = error if isinstance(error, dict) else {}
    code = text(members.get("code"), CODE_LETTERS) or whole.code
    message = text(members.get("message"), MESSAGE_LETTERS) or whole.message
    named = text(field, CODE_LETTERS)
    return Flaw(code, f"{named}: {message}"[:MESSAGE_LETTERS] if named else message, whole.request_id)


def not_created(
    asked: str, answer: Answer, now: datetime, culprits: Callable[[Complaint, Flaw], Mapping[int, Flaw]]
) -> InDoubt | Rejected | TooLarge | NotNow:
    """What an answer other than success to a bulk request comes to.

    `culprits` gives the items that a complaint names, by index, given what it says of the whole request.
    """
    if answer.status in _REDIRECTS:
        return InDoubt(f"answered {answer.status}: redirects are refused")
    said = complaint(answer)
    if answer.status not in _REFUSED or answer.status == HTTPStatus.REQUEST_TIMEOUT:
        return InDoubt(f"answered {answer.status} {said.code} {said.message}".strip())
    flaw = said.flaw(answer.status)
    if answer.status == HTTPStatus.BAD_REQUEST:
        named = culprits(said, flaw)
        if named or said.code not in _CONFLICTS:
            return Rejected(named, flaw)
        return replace(refusal(asked, answer, now), reason="conflict")
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(flaw._replace(code=said.code or "ENTITY_TOO_LARGE"))
    return refusal(asked, answer, now)


def refusal(asked: str, answer: Answer, now: datetime) -> NotNow:
    """What an answer other than success comes to, where it is not the items' fault.

    `asked` is what was asked, for the operator; `now` is Toloka's time.
    """
    said = complaint(answer)
    log.info("toloka_refused", asked=asked, status=answer.status, code=said.code, request_id=said.request_id)
    reason = _REASONS.get(answer.status, "unreachable")
    if reason == "unreachable" and answer.status in _REFUSED and answer.status != HTTPStatus.REQUEST_TIMEOUT:
        reason = "refused"
    # The request id is left out: a hold whose detail changed with every probe would look like a new one.
    parts = (f"{asked}: Toloka answered {answer.status}", said.code, said.message)
    return NotNow(reason, " ".join(part for part in parts if part), _wait_seconds(answer, said, now))


def no_answer(asked: str, error: LineError) -> NotNow:
    """What a failed request comes to."""
    return NotNow("unreachable", f"{asked}: {error}")


def _wait_seconds(answer: Answer, said: Complaint, now: datetime) -> float | None:
    """How long Toloka asks to wait: by `Retry-After` (RFC 7231, 7.1.3), or by the quota's interval."""
    header = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(header):
        return min(float(header), LONGEST_WAIT_SECONDS)
    if (moment := parse_date(header)) is not None:
        seconds = (moment - now.astimezone(UTC)).total_seconds()
        return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
    interval = said.payload.get("interval")
    return _INTERVAL_SECONDS.get(interval) if isinstance(interval, str) else None
