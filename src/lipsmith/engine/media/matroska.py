"""How broad a Matroska film is shown, written into its header after the fact.

FFmpeg's muxer asks the stream for it, and PyAV lets nobody tell the stream. Where the packets do not say it either
(VP9, FFV1, ProRes) an anamorphic film would come back squeezed. The elements' room is taken from the empty one that
FFmpeg leaves after the index of the header; nothing behind the tracks moves. RFC 8794 (EBML), RFC 9559 (Matroska).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

_SEGMENT, _SEEK_HEAD, _VOID, _INFO, _TRACKS = 0x18538067, 0x114D9B74, 0xEC, 0x1549A966, 0x1654AE6B
_ENTRY, _TYPE, _VIDEO, _CRC = 0xAE, 0x83, 0xE0, 0xBF
_SEEK, _SEEK_ID, _SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
_SHOWN_WIDTH, _SHOWN_HEIGHT, _SHOWN_UNIT = 0x54B0, 0x54BA, 0x54B2
_PICTURES, _ASPECT = b"\x01", 3  # a track's type; the unit of a shown size that is only a ratio
_VOID_HEAD = 9  # octets, with the longest of sizes: any length can be told so
_HEADER_OCTETS = 1 << 20  # more than any header before its tracks end


@dataclass(frozen=True)
class _Element:
    """Where an element lies in the octets it was found in."""

    id: int
    start: int
    body: slice


def show_as(path: Path, size: tuple[int, int], sample_aspect: Fraction) -> bool:
    """Make the first picture track of a file by FFmpeg say its sample aspect; False where it is built otherwise.

    `size`: coded pixels across and down. The file is changed in place. Raises OSError.
    """
    with path.open("r+b") as file:
        header = file.read(_HEADER_OCTETS)
        try:
            changed = _changed(header, size, sample_aspect)
        except (StopIteration, IndexError, ValueError, OverflowError):
            return False
        file.seek(0)
        file.write(changed)
    return True


def _changed(header: bytes, size: tuple[int, int], sample_aspect: Fraction) -> bytes:
    """The header with the aspect, as long as before. Raises ValueError and StopIteration where it has no room."""
    segment = next(e for e in _elements(header, 0) if e.id == _SEGMENT)
    index, room, info, tracks = islice(_elements(header, segment.body.start), 4)
    if [e.id for e in (index, room, info, tracks)] != [_SEEK_HEAD, _VOID, _INFO, _TRACKS]:
        raise ValueError("not as FFmpeg writes it")
    body = header[tracks.body]
    entry = next(e for e in _elements(body, 0) if e.id == _ENTRY and _type(body[e.body]) == _PICTURES)
    inner, shown = body[entry.body], _shown(size, sample_aspect)
    told = [(e.id, inner[e.body]) for e in _elements(inner, 0)]
    parts = [_packed(name, _without_size(value) + shown if name == _VIDEO else value) for name, value in told]
    new_entry = _packed(_ENTRY, b"".join(parts))
    new_tracks = _packed(_TRACKS, _checked(body[: entry.start] + new_entry + body[entry.body.stop :]))
    more = len(new_tracks) - (tracks.body.stop - tracks.start)
    left = (info.start - room.start) - more
    if left < _VOID_HEAD:
        raise ValueError("no room")
    length = left - _VOID_HEAD
    empty = bytes([_VOID, 1]) + length.to_bytes(_VOID_HEAD - 2, "big") + bytes(length)
    new_index = _packed(_SEEK_HEAD, _checked(_moved(header[index.body], {_INFO, _TRACKS}, more)))
    parts = [header[: index.start], new_index, empty, header[info.start : tracks.start], new_tracks]
    changed = b"".join([*parts, header[tracks.body.stop :]])
    if len(changed) != len(header):
        raise ValueError("something is packed otherwise than FFmpeg packs it")
    return changed


def _without_size(video: bytes) -> bytes:
    """What is told of pictures but how large they are shown; where FFmpeg was told nothing it writes "unknown"."""
    shown = _SHOWN_WIDTH, _SHOWN_HEIGHT, _SHOWN_UNIT
    return b"".join(video[e.start : e.body.stop] for e in _elements(video, 0) if e.id not in shown)


def _shown(size: tuple[int, int], sample_aspect: Fraction) -> bytes:
    """So many pixels across, where that is a whole number of them; else a ratio."""
    across = size[0] * sample_aspect
    if across.denominator == 1:
        return _packed(_SHOWN_WIDTH, _number(int(across)))
    ratio = across / size[1]
    values = (_SHOWN_WIDTH, ratio.numerator), (_SHOWN_HEIGHT, ratio.denominator), (_SHOWN_UNIT, _ASPECT)
    return b"".join(_packed(name, _number(value)) for name, value in values)


def _moved(body: bytes, which: set[int], back: int) -> bytes:
    """The index of the header, in which some elements lie so many octets earlier; positions keep their length."""
    parts = []
    for seek in _elements(body, 0):
        if seek.id != _SEEK:
            parts.append(body[seek.start : seek.body.stop])
            continue
        inner = body[seek.body]
        pair = {e.id: inner[e.body] for e in _elements(inner, 0)}
        if int.from_bytes(pair[_SEEK_ID], "big") in which:
            position = int.from_bytes(pair[_SEEK_POSITION], "big") - back
            pair[_SEEK_POSITION] = position.to_bytes(len(pair[_SEEK_POSITION]), "big")
        parts.append(_packed(_SEEK, b"".join(_packed(name, value) for name, value in pair.items())))
    return b"".join(parts)


def _type(entry: bytes) -> bytes:
    return next((entry[e.body] for e in _elements(entry, 0) if e.id == _TYPE), b"")


def _checked(body: bytes) -> bytes:
    """With its checksum right, where it has one."""
    if body[:1] != bytes([_CRC]):
        return body
    return body[:2] + zlib.crc32(body[6:]).to_bytes(4, "little") + body[6:]


def _elements(octets: bytes, at: int) -> Iterator[_Element]:
    while at < len(octets):
        start, length = at, 9 - octets[at].bit_length()
        name = int.from_bytes(octets[at : at + length], "big")
        at += length
        length = 9 - octets[at].bit_length()
        size = int.from_bytes(octets[at : at + length], "big") & ((1 << 7 * length) - 1)
        at += length
        yield _Element(name, start, slice(at, at + size))
        at += size


def _packed(name: int, body: bytes) -> bytes:
    """An element, its size in as few octets as can be."""
    length = next(n for n in range(1, 9) if len(body) < (1 << 7 * n) - 1)
    return _number(name) + ((1 << 7 * length) | len(body)).to_bytes(length, "big") + body


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, -(-value.bit_length() // 8)), "big")
