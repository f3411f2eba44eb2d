"""Streams that are written beside the pictures of a file, as these go on, to be found near them."""

from __future__ import annotations

from collections.abc import Iterator

import av


class Paced:
    """Packets that wait for their time."""

    def __init__(self, packets: Iterator[av.Packet]) -> None:
        self._packets = packets
        self._waiting: av.Packet | None = None

    def until(self, seconds: float | None) -> Iterator[av.Packet]:
        """Packets up to this time on the container's clock, or all that are left."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            stamp = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and stamp is not None and stamp * packet.time_base > seconds:
                self._waiting = packet
                return
            self._waiting = None
            yield packet
