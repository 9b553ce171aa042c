"""Pure: a great many ids, in little memory."""

from array import array

_BUCKETS = 1 << 14


class IdSet:
    """Ids as hashes of 64 bits, some twelve bytes each; in a set they would be a hundred."""

    def __init__(self) -> None:
        self._buckets: dict[int, array[int]] = {}

    def add(self, item_id: bytes) -> None:
        """Take in an id that is new, or may as well be."""
        code = hash(item_id)
        bucket = self._buckets.get(code % _BUCKETS)
        if bucket is None:
            bucket = self._buckets[code % _BUCKETS] = array("q")
        bucket.append(code)

    def may_have(self, item_id: bytes) -> bool:
        """False is certain; True may be another id's hash."""
        code = hash(item_id)
        return code in self._buckets.get(code % _BUCKETS, ())
