"""The units of H.264 and HEVC bitstreams: how they are framed, which parameter sets there are, and how they are named.

Takes and gives bytes; knows no file. Two framings exist (ISO/IEC 14496-15): start codes (Annex B, in transport streams)
and a length before each unit (MP4, Matroska), where the parameter sets stand in a configuration record.

**Why names matter.** A spliced stream has two sets of parameters: the source's for what was copied, ours for what was
encoded. Both stand in the record under different ids, so that a player may begin anywhere. x264 can be told its id.
x265 cannot, but its ids can be changed afterwards: 0 is one bit ("1") and 15 is nine ("000010000") in Exp-Golomb code,
so that all that follows moves by exactly one byte, and slice data, which begins on a byte, stays as it is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

from lipsmith.engine.media.bits import Bits, unescaped
from lipsmith.errors import BrokenMedia

OUR_ID = 15  # the only SPS id of nine bits
END_OF_SEQUENCE = bytes([36 << 1, 1])  # HEVC
_START_CODE = re.compile(rb"\x00\x00\x00?\x01")
_START = b"\x00\x00\x00\x01"
_TO_ESCAPE = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_HEVC_PARAMETERS = (32, 33, 34)  # VPS, SPS, PPS
_H264_PARAMETERS = (7, 8)  # SPS, PPS
_HEVC_SEI, _H264_SEI = 39, 6
_REGISTERED = 4  # SEI payload: user data registered by ITU-T T.35
_UNREGISTERED = 5  # SEI payload: the encoder's signature
_DOLBY_VISION = 62  # HEVC: a unit of reference picture processing
_HVCC_HEAD = 22
_SPS_ID_AT = 13  # bytes of an HEVC SPS before its id: VPS id, layers, and the profile of a single layer


def prefix_length(extradata: bytes, codec: str) -> int:
    """Bytes of the length before each unit; 0 where start codes are used (or the codec has no units)."""
    if codec == "h264" and len(extradata) >= 7 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    if codec == "hevc" and len(extradata) > _HVCC_HEAD and extradata[:3] not in (b"\0\0\0", b"\0\0\1"):
        return (extradata[21] & 3) + 1
    return 0


def split(data: bytes, prefix: int) -> list[bytes]:
    """The units of a packet, without framing. A length that passes the end ends the list."""
    if prefix == 0:
        starts = list(_START_CODE.finditer(data))
        ends = [start.start() for start in starts[1:]] + [len(data)]
        return [data[start.end() : end] for start, end in zip(starts, ends, strict=True) if start.end() < end]
    units, at = [], 0
    while at + prefix <= len(data):
        size = int.from_bytes(data[at : at + prefix], "big")
        at += prefix
        if size == 0 or at + size > len(data):
            break
        units.append(data[at : at + size])
        at += size
    return units


def join(units: Sequence[bytes], prefix: int) -> bytes:
    """Framed anew."""
    return b"".join((len(unit).to_bytes(prefix, "big") if prefix else _START) + unit for unit in units)


def kind(unit: bytes, codec: str) -> int:
    """nal_unit_type."""
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def kinds(data: bytes, codec: str, prefix: int) -> set[int]:
    return {kind(unit, codec) for unit in split(data, prefix)}


def obu_kinds(data: bytes) -> set[int]:
    """obu_type of each unit of an AV1 packet (AV1 specification 5.3)."""
    found, at = set(), 0
    while at < len(data):
        head = data[at]
        found.add(head >> 3 & 15)
        at += 2 if head & 4 else 1
        if not head & 2:
            break
        size = shift = 0
        while at < len(data):
            size |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 128:
                break
        at += size
    return found


def is_parameter(unit: bytes, codec: str) -> bool:
    return kind(unit, codec) in (_H264_PARAMETERS if codec == "h264" else _HEVC_PARAMETERS)


def is_signature(unit: bytes, codec: str) -> bool:
    """An encoder's name and settings: not part of the picture."""
    head, sei = (1, _H264_SEI) if codec == "h264" else (2, _HEVC_SEI)
    return kind(unit, codec) == sei and len(unit) > head and unit[head] == _UNREGISTERED


def notes(data: bytes, codec: str, prefix: int) -> list[bytes]:
    """What is said of a picture beside the picture: captions, dynamic HDR (SEI with ITU-T T.35), Dolby Vision."""
    found = []
    for unit in split(data, prefix):
        number = kind(unit, codec)
        head, sei = (1, _H264_SEI) if codec == "h264" else (2, _HEVC_SEI)
        said = number == sei and len(unit) > head and unit[head] == _REGISTERED
        if said or (codec == "hevc" and number == _DOLBY_VISION):
            found.append(unit)
    return found


def precedes(note: bytes) -> bool:
    """Does it stand before the picture it is about? Dolby Vision's stands behind."""
    return kind(note, "hevc") != _DOLBY_VISION


def parameters(extradata: bytes, codec: str) -> list[bytes]:
    """The parameter sets of a configuration record or of start-coded headers. Raises BrokenMedia."""
    if not prefix_length(extradata, codec):
        return [unit for unit in split(extradata, 0) if is_parameter(unit, codec)]
    try:
        read = _avcc_units(extradata)[0] if codec == "h264" else [u for _, us in _hvcc_arrays(extradata) for u in us]
    except IndexError:
        raise BrokenMedia("The configuration record of the pictures is damaged.") from None
    return [unit for unit in read if unit and is_parameter(unit, codec)]


def free_id(extradata: bytes, codec: str) -> int | None:
    """An id for our own parameter sets that the source does not use, or None where there is none."""
    used: set[int] = set()
    for unit in parameters(extradata, codec):
        with contextlib.suppress(IndexError):  # one that ends before its id takes none
            used |= _ids(unit, codec)
    if codec == "hevc":
        return None if OUR_ID in used else OUR_ID
    return next((number for number in range(1, 32) if number not in used), None)


def with_parameters(extradata: bytes, units: Sequence[bytes], codec: str) -> bytes:
    """The source's record with our parameter sets added; start-coded headers are only lengthened."""
    prefix = prefix_length(extradata, codec)
    if not prefix:
        return extradata + join(units, 0)
    return _avcc_with(extradata, units) if codec == "h264" else _hvcc_with(extradata, units)


def renamed(unit: bytes) -> bytes:
    """An x265 unit whose parameter sets are called `OUR_ID` instead of 0 (HEVC 7.3.1-7.3.6)."""
    number = kind(unit, "hevc")
    if number > 34:
        return unit
    head, body = unit[:2], unescaped(unit[2:])
    if number == 32:
        body = bytes([OUR_ID << 4 | body[0] & 15]) + body[1:]
    elif number == 33:
        if body[0] >> 1 & 7:
            raise BrokenMedia("An SPS with temporal layers cannot be renamed.")
        body = bytes([OUR_ID << 4 | body[0] & 15]) + _longer_id(body[1:], 8 * (_SPS_ID_AT - 1))
    elif number == 34:
        body = _longer_id(_longer_id(body, 0), 9)
    else:
        body = _longer_id(body, 2 if 16 <= number <= 23 else 1)
    return head + _TO_ESCAPE.sub(b"\0\0\3", body)


def _longer_id(body: bytes, bit: int) -> bytes:
    """The code "1" at this bit becomes "000010000"; the rest moves by a byte."""
    at, before = divmod(bit, 8)
    octet = body[at]
    if not octet >> (7 - before) & 1:
        raise BrokenMedia("A parameter set's id is not 0 as expected.")
    kept = octet >> (8 - before) << (16 - before) if before else 0
    rest = octet & (1 << (7 - before)) - 1
    both = kept | 1 << (16 - before - 5) | rest
    return body[:at] + both.to_bytes(2, "big") + body[at + 1 :]


def _ids(unit: bytes, codec: str) -> set[int]:
    """The id of a parameter set."""
    number = kind(unit, codec)
    body = unescaped(unit[1 if codec == "h264" else 2 :])
    if codec == "h264":
        return {Bits(body, 24 if number == 7 else 0).ue()}
    if number == 32:
        return {body[0] >> 4}
    if number == 34:
        return {Bits(body).ue()}
    return {Bits(body, 8 * _SPS_ID_AT).ue()} if not body[0] >> 1 & 7 else set()


def _avcc_units(record: bytes) -> tuple[list[bytes], int, int]:
    """(SPS and PPS, where the count of PPS stands, where the record's extension begins)."""
    units, at = [], 6
    pps_count_at = at
    for count_mask, count_at in ((31, 5), (255, None)):
        if count_at is None:
            pps_count_at = count_at = at
            at += 1
        for _ in range(record[count_at] & count_mask):
            size = int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : at + 2 + size])
            at += 2 + size
    return units, pps_count_at, at


def _avcc_with(record: bytes, units: Sequence[bytes]) -> bytes:
    _, pps_at, end = _avcc_units(record)
    sps, pps = ([unit for unit in units if kind(unit, "h264") == number] for number in _H264_PARAMETERS)

    def sized(parts: Sequence[bytes]) -> bytes:
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)

    head = record[:5] + bytes([record[5] + len(sps)]) + record[6:pps_at] + sized(sps)
    return head + bytes([record[pps_at] + len(pps)]) + record[pps_at + 1 : end] + sized(pps) + record[end:]


def _hvcc_arrays(record: bytes) -> list[tuple[int, list[bytes]]]:
    arrays, at = [], _HVCC_HEAD + 1
    for _ in range(record[_HVCC_HEAD]):
        head, count = record[at], int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        units = []
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : at + 2 + size])
            at += 2 + size
        arrays.append((head, units))
    return arrays


def _hvcc_with(record: bytes, units: Sequence[bytes]) -> bytes:
    arrays = _hvcc_arrays(record)
    for number in _HEVC_PARAMETERS:
        ours = [unit for unit in units if kind(unit, "hevc") == number]
        theirs = next((held for head, held in arrays if head & 63 == number), None)
        if theirs is None:
            arrays.append((128 | number, ours))
        else:
            theirs += ours
    parts = [record[:_HVCC_HEAD], bytes([len(arrays)])]
    for head, held in arrays:
        parts += [bytes([head]), len(held).to_bytes(2, "big")]
        parts += [len(unit).to_bytes(2, "big") + unit for unit in held]
    return b"".join(parts)
