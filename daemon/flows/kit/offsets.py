"""Pure: a set of offsets, one bit each."""

from collections.abc import Iterator


class Offsets:
    """Offsets from `base` on; what lies between costs a bit, so a hundred million take 12 MB."""

    def __init__(self, base: int = 0) -> None:
        self._base = base
        self._bits = bytearray()

    def add(self, offset: int) -> bool:
        """Put one in; False where it is in already. Not below `base`."""
        byte, bit = divmod(offset - self._base, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(max(byte + 1 - len(self._bits), len(self._bits))))
        fresh = not self._bits[byte] >> bit & 1
        self._bits[byte] |= 1 << bit
        return fresh

    def discard(self, offset: int) -> bool:
        """Take one out; False where it is not in."""
        if offset not in self:
            return False
        byte, bit = divmod(offset - self._base, 8)
        self._bits[byte] &= ~(1 << bit)
        return True

    def __contains__(self, offset: int) -> bool:
        byte, bit = divmod(offset - self._base, 8)
        return 0 <= byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def __iter__(self) -> Iterator[int]:
        for index, byte in enumerate(self._bits):
            if byte:
                start = self._base + index * 8
                yield from (start + bit for bit in range(8) if byte >> bit & 1)
