"""Pure: ledger values as they are kept in memory, without what many of them have in common.

There may be a million, and most are of few topics and name the same headers. A short form holds: the number
of what it has in common with others, the rest of its head, its key, the values of its headers, and what
stands behind those. The fields are those of `daemon.flows.records.ledger_records`.
"""

import struct

from daemon.flows.records import ledger_records
from daemon.flows.records.ledger_records import HASHES, HEAD, LONG, LONGER, NONE, OPENING, SHARES

_SHARES_BEGIN = frozenset({SHARES, HASHES})
# As numbers, for to ask a struct for its size takes longer than a look at a value.
_OPENING, _HEAD = OPENING.size, HEAD.size
# More than these have nothing in common: names of headers may be anything.
MANY_FORMS = 10_000
_NUMBER = struct.Struct(">H")
# That of a value which has its opening behind its head, and is whole behind that.
_ALONE = 0
_HEAD_SIZE = _NUMBER.size + HEAD.size - OPENING.size
_SUBMITTED = struct.Struct(">q")
_SUBMITTED_AT = ledger_records.SUBMITTED_AT - OPENING.size + _NUMBER.size

# Version and partition, topic, the names of the headers; the latter with their lengths.
Form = tuple[bytes, bytes, tuple[bytes, ...]]


class ShortForms:
    """Shortens values and makes them whole again; what they have in common is kept here, once."""

    def __init__(self) -> None:
        self._forms: list[Form] = [(b"", b"", ())]
        self._numbers: dict[Form, int] = {}

    def shortened(self, value: bytes) -> bytes:
        """The short form of a value that has a whole head, be it damaged behind it or not."""
        try:
            form, own = _parted(value)
        except (IndexError, struct.error):
            return self._alone(value)
        number = self._numbers.get(form) or self._added(form)
        if number == _ALONE:
            return self._alone(value)
        return _NUMBER.pack(number) + value[_OPENING:_HEAD] + own

    def _added(self, form: Form) -> int:
        if len(self._numbers) >= MANY_FORMS:
            return _ALONE
        self._numbers[form] = number = len(self._forms)
        self._forms.append(form)
        return number

    @staticmethod
    def _alone(value: bytes) -> bytes:
        return _NUMBER.pack(_ALONE) + value[_OPENING:_HEAD] + value[:_OPENING] + value[_HEAD:]

    def whole(self, short: bytes) -> bytes:
        """The value that has this short form."""
        number: int = _NUMBER.unpack_from(short)[0]
        at, own_head = _HEAD_SIZE, short[_NUMBER.size : _HEAD_SIZE]
        if number == _ALONE:
            return short[at : at + _OPENING] + own_head + short[at + _OPENING :]
        opening, topic, names = self._forms[number]
        if not names:
            return opening + own_head + topic + short[at:]
        end = _end(short, at)
        fields = [opening, own_head, topic, short[at:end]]
        for name in names:
            at, end = end, _end(short, end)
            fields += name, short[at:end]
        return b"".join(fields) + short[end:]


def submitted_micros(short: bytes) -> int:
    """When its item was submitted, in microseconds since 1970."""
    micros: int = _SUBMITTED.unpack_from(short, _SUBMITTED_AT)[0]
    return micros


def _parted(value: bytes) -> tuple[Form, bytes]:
    """What a value may have in common with others, and what follows its head of its own.

    Raises:
        IndexError, struct.error: it is damaged.
    """
    # No topic's name is so long that its length takes more than one byte.
    key_at = _HEAD + 1 + value[_HEAD]
    at, end = _end(value, key_at), len(value)
    names, own = [], value[key_at:at]
    while at < end:
        name_size = value[at]
        if name_size >= LONGER or value[at + 1 : at + 2] in _SHARES_BEGIN:
            own += value[at:]
            break
        value_at = at + 1 + name_size
        names.append(value[at:value_at])
        at = _end(value, value_at)
        own += value[value_at:at]
    if at > end:
        raise IndexError("a field is cut short")
    return (value[:_OPENING], value[_HEAD:key_at], tuple(names)), own


def _end(data: bytes, at: int) -> int:
    """Where the field ends that begins there."""
    size = data[at]
    if size < LONGER:
        return at + 1 + size
    if size == NONE:
        return at + 1
    return at + LONG.size + int(LONG.unpack_from(data, at)[1])
