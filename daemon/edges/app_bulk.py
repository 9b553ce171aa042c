"""Pure: the body of `POST …/items/bulk`, and what its answer comes to (contract, A5 and C)."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from daemon.edges.answers import CODE_LETTERS, MESSAGE_LETTERS, Complaint, complaint, refusal, text
from daemon.edges.sending import Answer
from daemon.model import Accepted, Flaw, InDoubt, Item, NotNow, Outcome, Rejected, TooLarge

ASKED = "submitting items"

_BAD_REQUEST = 400
_REQUEST_TIMEOUT = 408
_CONTENT_TOO_LARGE = 413
_REDIRECTS = range(300, 400)
_DEFINITE = range(400, 500)
# The documented key says `input_data`, though the body says `items` (contract, A5).
_CULPRIT = re.compile(r"(?:input_data|items)\.([0-9]{1,6})(?:\.(.*))?", re.DOTALL)

_ids = msgspec.json.Decoder(tuple[str, ...])
_bytes_of = attrgetter("body")


def body_of(items: Sequence[Item], *, force_new_original: bool) -> bytes:
    """The request's body; the items' bytes go in as they are."""
    first, *rest = map(_bytes_of, items)
    parts = [b'{"items":[' + first, *rest]
    parts[-1] += b'],"force_new_original":true}' if force_new_original else b"]}"
    # Joined once: the body is large.
    return b",".join(parts)


def outcome(answer: Answer, count: int, now: datetime) -> Outcome:
    """What an answer to a request with so many items comes to.

    Args:
        answer: a whole answer.
        count: how many items were sent.
        now: Toloka's time.
    """
    if answer.succeeded:
        return _accepted(answer, count)
    if answer.status in _REDIRECTS:
        return InDoubt(f"answered {answer.status}: redirects are refused")
    if answer.status not in _DEFINITE or answer.status == _REQUEST_TIMEOUT:
        said = complaint(answer)
        return InDoubt(f"answered {answer.status} {said.code} {said.message}".strip())
    return _refused(answer, count, now)


def _accepted(answer: Answer, count: int) -> Accepted | InDoubt:
    try:
        ids = _ids.decode(answer.body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return InDoubt(f"answered {answer.status} with something else than a list of ids")
    distinct = set(ids)
    if len(ids) != count or len(distinct) != count or "" in distinct:
        return InDoubt(f"answered {answer.status} with {len(distinct)} distinct ids for {count} items")
    return Accepted(ids)


def _refused(answer: Answer, count: int, now: datetime) -> Rejected | TooLarge | NotNow:
    if answer.status == _BAD_REQUEST:
        said = complaint(answer)
        flaw = said.flaw(answer.status)
        return Rejected(_culprits(said, flaw, count), flaw)
    if answer.status == _CONTENT_TOO_LARGE:
        said = complaint(answer)
        return TooLarge(said.flaw(answer.status)._replace(code=said.code or "ENTITY_TOO_LARGE"))
    return refusal(ASKED, answer, now)


def _culprits(said: Complaint, whole: Flaw, count: int) -> Mapping[int, Flaw]:
    """Index to flaw; of several flaws of one item the first."""
    culprits: dict[int, Flaw] = {}
    for key, error in said.payload.items():
        named = _CULPRIT.fullmatch(key)
        if named is not None and (index := int(named[1])) < count:
            culprits.setdefault(index, _flaw(error, named[2], whole))
    return culprits


def _flaw(error: Any, field: str | None, whole: Flaw) -> Flaw:
    members = error if isinstance(error, dict) else {}
    code = text(members.get("code"), CODE_LETTERS) or whole.code
    message = text(members.get("message"), MESSAGE_LETTERS) or whole.message
    named = text(field, CODE_LETTERS)
    return Flaw(code, f"{named}: {message}"[:MESSAGE_LETTERS] if named else message, whole.request_id)
