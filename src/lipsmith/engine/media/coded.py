"""Encoded pictures on their way from the encoder to the muxer or a decoder, and in a file where those are apart.

The file is ours and short-lived: one record per picture, little-endian, a head of `_HEAD` and the encoder's bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from lipsmith.engine.media.place import appearing_whole, writing
from lipsmith.errors import BrokenMedia

_HEAD = struct.Struct("<qqBI")  # pts, duration, keyframe, length


@dataclass(frozen=True)
class Coded:
    """One encoded picture. Times in the stream's time base; when it is decoded, its run says."""

    pts: int
    duration: int
    is_keyframe: bool
    data: bytes


def packet_of(data: bytes) -> av.Packet:
    """For FFmpeg, which reads over the end of what it decodes: zeros stand behind it (AV_INPUT_BUFFER_PADDING_SIZE).

    `av.Packet(data)` has none: of the same MPEG-4 packets other pictures came out from run to run.
    """
    padded = av.Packet(len(data))
    padded.update(data)
    return padded


def save(pictures: Iterable[Coded], path: Path) -> None:
    """Whole or not at all. Raises OutputNotWritable, DiskFull and what `pictures` raises."""
    with appearing_whole(path) as part, part.open("wb") as file:
        for one in pictures:
            with writing(path):
                file.write(_HEAD.pack(one.pts, one.duration, one.is_keyframe, len(one.data)))
                file.write(one.data)


@dataclass(frozen=True)
class CodedFiles:
    """Parts of a plan that were encoded before, in order."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Coded]:
        """Raises BrokenMedia for a file that ends in mid-picture."""
        for path in self.paths:
            yield from _load(path)


def _load(path: Path) -> Iterator[Coded]:
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            if len(head) == _HEAD.size:
                pts, duration, is_keyframe, length = _HEAD.unpack(head)
                if len(data := file.read(length)) == length:
                    yield Coded(pts, duration, bool(is_keyframe), data)
                    continue
            raise BrokenMedia(f"{path}: an encoded part is cut off.")
