"""Pure: the body of `POST …/items/bulk`, and what its answer comes to."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter

import msgspec

from daemon.edges.toloka.answers import Complaint, field_flaw, not_created
from daemon.edges.toloka.sending import Answer
from daemon.model import Accepted, Columns, Flaw, InDoubt, Item, Outcome, parts_of

ASKED = "submitting items"

# Toloka's reference spells the key `input_data`, though the body says `items`.
_CULPRIT = re.compile(r"(?:input_data|items)\.([0-9]{1,6})(?:\.(.*))?", re.DOTALL)

_ids = msgspec.json.Decoder(tuple[str, ...])
_bytes_of = attrgetter("body")


def body_of(items: Sequence[Item], *, force_new_original: bool) -> bytes:
    """The request's body; the items' bytes go in as they are."""
    texts = [
        part.joined(b",") if isinstance(part, Columns) else b",".join(map(_bytes_of, part))
        for part in parts_of(items)
    ]
    texts[0] = b'{"items":[' + texts[0]
    texts[-1] += b'],"force_new_original":true}' if force_new_original else b"]}"
    return b",".join(texts)


def outcome(answer: Answer, count: int, now: datetime) -> Outcome:
    """What an answer to a request with so many items comes to, at this time of Toloka's."""
    if answer.succeeded:
        return _accepted(answer, count)
    return not_created(ASKED, answer, now, partial(_culprits, count=count))


def _accepted(answer: Answer, count: int) -> Accepted | InDoubt:
    try:
        ids = _ids.decode(answer.body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return InDoubt(f"answered {answer.status} with something else than a list of ids")
    distinct = set(ids)
    if len(ids) != count or len(distinct) != count or "" in distinct:
        return InDoubt(f"answered {answer.status} with {len(distinct)} distinct ids for {count} items")
    return Accepted(ids)


def _culprits(said: Complaint, whole: Flaw, count: int) -> Mapping[int, Flaw]:
    """Index to flaw; of several flaws of one item the first."""
    culprits: dict[int, Flaw] = {}
    for key, error in said.payload.items():
        named = _CULPRIT.fullmatch(key)
        if named is not None and (index := int(named[1])) < count:
            culprits.setdefault(index, field_flaw(error, named[2], whole))
    return culprits
