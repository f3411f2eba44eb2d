"""Bit by bit through a unit of an H.264 or HEVC bitstream (ITU-T H.265 7.2 and 9.2)."""

from __future__ import annotations

import re

_ESCAPED = re.compile(rb"\x00\x00\x03")


def unescaped(unit: bytes) -> bytes:
    """Without the bytes that keep start codes from appearing in it."""
    return _ESCAPED.sub(b"\0\0", unit)


class Bits:
    """Reads forwards. Raises IndexError behind the end."""

    def __init__(self, body: bytes, at: int = 0) -> None:
        """`body`: unescaped; `at`: the first bit to be read."""
        self._body, self._at = body, at

    def u(self, count: int) -> int:
        """An unsigned number of so many bits."""
        end = self._at + count
        if end > 8 * len(self._body):
            raise IndexError(f"{count} bits are not there at bit {self._at} of {8 * len(self._body)}")
        first, last = self._at // 8, -(-end // 8)
        number = int.from_bytes(self._body[first:last], "big") >> (8 * last - end)
        self._at = end
        return number & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.u(1))

    def ue(self) -> int:
        """Exp-Golomb: as many zeros as bits follow the one."""
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """The same with a sign: 0, 1, -1, 2, -2 and so on."""
        code = self.ue()
        return -(code // 2) if code % 2 == 0 else (code + 1) // 2

    def skip(self, count: int) -> None:
        self._at += count
