"""What a test puts into the input topic: every kind of record, the same for the same seed."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tests.checker.content import object_in

Headers = tuple[tuple[str, bytes | None], ...]

# Toloka refuses items whose text holds these: the one is named in the answer, the other is not.
NAMED: Final = "@named"
OPAQUE: Final = "@opaque"
MARKERS: Final = ("--named-marker", NAMED, "--opaque-marker", OPAQUE)

LETTERS: Final = "abcdefghij äßçЖ漢字🙂\"\\/\n\t\u2028\u0000{}[]'"
# Records that can be no item, whatever the app.
NO_ITEMS: Final = (
    b"",
    b"{",
    b"[1,2]",
    b"null",
    b'"text"',
    b'{"text":"a","text":"b"}',
    b'{"text":NaN}',
    b'{"text":"\\ud800"}',
    b"\xff\xfe",
    b'{"text":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"id":"without text"}',
    b'{"text":17}',
    b'{"text":' + b"9" * 5000 + b"}",
)


class Source(NamedTuple):
    """A record to be: it has no place yet."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def text(dice: random.Random) -> str:
    """Some letters that are easily spoilt on the way."""
    return "".join(dice.choices(LETTERS, k=dice.randint(1, 200)))


def with_own_id(dice: random.Random, number: int) -> bytes:
    """An item with an id that no other has."""
    return json.dumps({"id": f"own-{number}", "text": text(dice), "n": number}).encode()


def with_repeated_id(dice: random.Random, _number: int) -> bytes:
    """An item whose id others have, too; some of these are the same item altogether."""
    same = dice.randint(0, 4)
    content = {"id": f"same-{same}", "text": f"same text {dice.randint(0, 1)}"}
    return json.dumps(content, separators=(",", ":") if same % 2 else None).encode()


def without_id(dice: random.Random, _number: int) -> bytes:
    """An item that asks for an id, in a few spellings."""
    content = {"text": text(dice), "score": dice.choice([1, 1.0, 1e3, -0.0])}
    if dice.random() < 0.1:
        content["id"] = None
    return json.dumps(content, ensure_ascii=dice.random() < 0.5, indent=dice.choice([None, 1])).encode()


def task(dice: random.Random, number: int) -> bytes:
    """A task for one worker or for two; many are like others."""
    values = {"text": text(dice) if number % 3 else f"same text {dice.randint(0, 9)}", "number": number % 7}
    members = {"input_values": values, "overlap": dice.choice([1, 1, 2])}
    return json.dumps(members, ensure_ascii=dice.random() < 0.5, indent=dice.choice([None, 1])).encode()


def wrong_task(dice: random.Random, _number: int) -> bytes:
    """A task that Toloka refuses, by index and field."""
    return json.dumps({"input_values": {"text": text(dice), "image": "no address"}, "overlap": 1}).encode()


def outcomes_of(source: Source) -> int:
    """How many outcomes a record has with the tasks API: a good task as many as its overlap says."""
    if source.value is None:
        return 0
    record = object_in(source.value) or {}
    values = record.get("input_values")
    wrong = not isinstance(values, dict) or "image" in values
    return 1 if wrong else record.get("overlap") or 1


def no_item(dice: random.Random, _number: int) -> bytes:
    """What becomes a dead letter before anything is sent."""
    return dice.choice(NO_ITEMS)


def refused(dice: random.Random, number: int) -> bytes:
    """An item that Toloka refuses, and says so."""
    return json.dumps({"id": f"refused-{number}", "text": text(dice) + NAMED}).encode()


def refused_without_a_name(dice: random.Random, number: int) -> bytes:
    """An item that Toloka refuses together with its whole batch."""
    return json.dumps({"id": f"opaque-{number}", "text": text(dice) + OPAQUE}).encode()


def enveloped(dice: random.Random, number: int) -> bytes:
    """An item inside a larger record; some are such as Toloka refuses."""
    item = json.loads((refused if dice.random() < 0.1 else with_own_id)(dice, number))
    return json.dumps({"source": text(dice), "payload": {"at": number, "it/em": item}, "2": None}).encode()


def empty_envelope(dice: random.Random, number: int) -> bytes:
    """A record with something else, or nothing, where its item should be."""
    payload = dice.choice([{}, [], {"it/em": [number]}, {"it/em": "text"}, {"item": {"text": "elsewhere"}}])
    return json.dumps({"payload": payload}).encode()


def tombstone(_dice: random.Random, _number: int) -> None:
    """A record without a value."""


Kinds = tuple[tuple[Callable[[random.Random, int], bytes | None], float], ...]

TASKS: Final[Kinds] = ((task, 0.88), (wrong_task, 0.04), (no_item, 0.04), (tombstone, 0.04))
GOOD: Final[Kinds] = ((with_own_id, 0.5), (with_repeated_id, 0.1), (without_id, 0.4))
ENVELOPES: Final[Kinds] = ((enveloped, 0.9), (empty_envelope, 0.1))
MIXED: Final[Kinds] = (
    (with_own_id, 0.4),
    (with_repeated_id, 0.1),
    (without_id, 0.36),
    (no_item, 0.08),
    (refused, 0.01),
    (refused_without_a_name, 0.002),
    (tombstone, 0.04),
)


def sources(count: int, seed: int, kinds: Kinds = MIXED) -> Iterator[Source]:
    """So many records of these kinds, by their weights."""
    dice = random.Random(seed)
    makers, weights = zip(*kinds, strict=True)
    for number in range(count):
        (make,) = dice.choices(makers, weights)
        key, value = _key(dice, number), make(dice, number)
        # The client that feeds refuses a record with neither.
        yield Source(b"" if value is None and key is None else key, value, _headers(dice, number))


def _key(dice: random.Random, number: int) -> bytes | None:
    return dice.choice([None, b"", b"\x00\xff", b"user-%d" % (number % 50)])


def _headers(dice: random.Random, number: int) -> Headers:
    trace = f"00-{dice.getrandbits(128):032x}-{dice.getrandbits(64):016x}-01".encode()
    more: Headers = (("tenant", None), ("tenant", b"\xff"), ("toloka-status", b"not ours"), ("", b""))
    return (("traceparent", trace), *more[: number % (len(more) + 1)])
