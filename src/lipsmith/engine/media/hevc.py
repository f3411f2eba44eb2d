"""What the header of an HEVC picture says before its blocks: whether it is intra, and its quantiser.

Takes the units of packets in decoding order, gives a `Header` per picture. FFmpeg's decoder does not tell quantisers of
HEVC. Sections are those of ITU-T H.265 (V9); only what stands before `slice_qp_delta` is read, of the base layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lipsmith.engine.media import nal
from lipsmith.engine.media.bits import Bits, unescaped

_SPS, _PPS = 33, 34
_IRAP = range(16, 24)
_IDR = range(19, 21)
_PICTURES = 32  # unit types below it are slices
_B, _INTRA = 0, 2  # slice_type
_HEAD = 2  # bytes of a unit before its body
_READ = 512  # bytes of a slice that hold its header, entry points aside


@dataclass(frozen=True)
class Header:
    """One picture, by its first slice."""

    intra: bool
    quantiser: int  # of luma, from -6 (bits - 8) to 51: what blocks' own differences begin from
    varies: bool  # may blocks differ from it?


@dataclass(frozen=True)
class _ReferenceSet:
    """Which pictures near by the decoder holds, by the difference of their numbers (7.4.8)."""

    before: tuple[tuple[int, bool], ...]  # (difference, is it used by this picture)
    behind: tuple[tuple[int, bool], ...]

    @property
    def used(self) -> int:
        return sum(used for _, used in self.before + self.behind)


@dataclass(frozen=True)
class _Sequence:
    """Of an SPS what slices depend on."""

    separate_planes: bool
    has_chroma: bool
    poc_bits: int
    reference_sets: tuple[_ReferenceSet, ...]
    long_term: bool
    long_term_used: tuple[bool, ...]
    temporal_vectors: bool
    sao: bool


@dataclass(frozen=True)
class _Picture:
    """Of a PPS the same."""

    sps: int
    output_flag: bool
    extra_bits: int
    cabac_init: bool
    references: tuple[int, int]  # of each list, unless a slice says otherwise
    quantiser: int
    varies: bool
    weighted: bool
    weighted_both: bool
    lists_modified: bool


class Headers:
    """Reads a stream's pictures; remembers its parameter sets."""

    def __init__(self, units: Sequence[bytes]) -> None:
        """`units`: of the configuration record."""
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _Picture] = {}
        for unit in units:
            self._parameters(unit)

    def read(self, units: Sequence[bytes]) -> Header | None:
        """Of one picture; None where its packet or parameter sets are damaged or of a kind that is not read."""
        for unit in units:
            number = nal.kind(unit, "hevc") if len(unit) > _HEAD else _PICTURES
            if number < _PICTURES and not _layer(unit):
                try:
                    return self._slice(number, Bits(unescaped(unit[_HEAD:_READ])))
                except (IndexError, KeyError):
                    return None
            self._parameters(unit)
        return None

    def _parameters(self, unit: bytes) -> None:
        if len(unit) <= _HEAD or _layer(unit):
            return
        bits = Bits(unescaped(unit[_HEAD:]))
        try:
            if nal.kind(unit, "hevc") == _SPS:
                number, sequence = _sequence(bits)
                self._sequences[number] = sequence
            elif nal.kind(unit, "hevc") == _PPS:
                number, picture = _picture(bits)
                self._pictures[number] = picture
        except IndexError:
            return  # slices that name it are not read

    def _slice(self, number: int, bits: Bits) -> Header | None:
        """7.3.6.1."""
        if not bits.flag():
            return None  # the picture's first slice is lost
        if number in _IRAP:
            bits.skip(1)
        pps = self._pictures[bits.ue()]
        sps = self._sequences[pps.sps]
        bits.skip(pps.extra_bits)
        kind = bits.ue()
        bits.skip(pps.output_flag + 2 * sps.separate_planes)
        used, temporal = 0, False
        if number not in _IDR:
            used, temporal = _references(bits, sps)
        if sps.sao:
            bits.skip(1 + (sps.has_chroma and not sps.separate_planes))
        if kind != _INTRA:
            _prediction(bits, sps, pps, kind == _B, used, temporal)
        return Header(kind == _INTRA, pps.quantiser + bits.se(), pps.varies)


def _layer(unit: bytes) -> int:
    """nuh_layer_id."""
    return (unit[0] & 1) << 5 | unit[1] >> 3


def _references(bits: Bits, sps: _Sequence) -> tuple[int, bool]:
    """(pictures that this one may lean on, are their vectors used)."""
    bits.skip(sps.poc_bits)
    if not bits.flag():
        near = _reference_set(bits, sps.reference_sets, of_slice=True)
    else:
        near = sps.reference_sets[bits.u(max(len(sps.reference_sets) - 1, 0).bit_length())]
    used = near.used
    if sps.long_term:
        known = bits.ue() if sps.long_term_used else 0
        for at in range(known + bits.ue()):
            if at < known:
                used += sps.long_term_used[bits.u((len(sps.long_term_used) - 1).bit_length())]
            else:
                bits.skip(sps.poc_bits)
                used += bits.flag()
            if bits.flag():
                bits.ue()
    return used, sps.temporal_vectors and bits.flag()


def _prediction(bits: Bits, sps: _Sequence, pps: _Picture, both: bool, used: int, temporal: bool) -> None:
    """What a slice of kind P or B says of its references."""
    first, second = pps.references
    if bits.flag():
        first = bits.ue() + 1
        second = bits.ue() + 1 if both else second
    lists = (first, second) if both else (first,)
    if pps.lists_modified and used > 1:
        for entries in lists:
            if bits.flag():
                bits.skip(entries * (used - 1).bit_length())
    bits.skip(both + pps.cabac_init)
    if temporal:
        from_first = not both or bits.flag()
        if (first if from_first else second) > 1:
            bits.ue()
    if pps.weighted_both if both else pps.weighted:
        _weights(bits, lists, sps.has_chroma and not sps.separate_planes)
    bits.ue()  # merging candidates


def _weights(bits: Bits, lists: Sequence[int], chroma: bool) -> None:
    """7.3.6.3; a picture does not lean on itself here."""
    bits.ue()
    if chroma:
        bits.se()
    for entries in lists:
        luma = [bits.flag() for _ in range(entries)]
        colour = [chroma and bits.flag() for _ in range(entries)]
        for weighted, tinted in zip(luma, colour, strict=True):
            for _ in range(2 * weighted + 4 * tinted):
                bits.se()


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    """An SPS and its id (7.3.2.2)."""
    bits.skip(4)
    layers = bits.u(3)
    bits.skip(1)
    _profile(bits, layers)
    number, chroma = bits.ue(), bits.ue()
    separate = chroma == 3 and bits.flag()
    bits.ue(), bits.ue()  # width, height
    if bits.flag():
        for _ in range(4):  # conformance window
            bits.ue()
    bits.ue(), bits.ue()  # depths
    poc_bits = bits.ue() + 4
    for _ in range(layers + 1 if bits.flag() else 1):
        bits.ue(), bits.ue(), bits.ue()
    for _ in range(6):  # sizes and depths of blocks
        bits.ue()
    if bits.flag() and bits.flag():
        _scaling_lists(bits)
    bits.skip(1)
    sao = bits.flag()
    if bits.flag():  # PCM
        bits.skip(8)
        bits.ue(), bits.ue()
        bits.skip(1)
    sets: list[_ReferenceSet] = []
    for _ in range(bits.ue()):
        sets.append(_reference_set(bits, sets, of_slice=False))
    long_term = bits.flag()
    used = []
    for _ in range(bits.ue() if long_term else 0):
        bits.skip(poc_bits)
        used.append(bits.flag())
    temporal = bits.flag()
    return number, _Sequence(separate, chroma != 0, poc_bits, tuple(sets), long_term, tuple(used), temporal, sao)


def _picture(bits: Bits) -> tuple[int, _Picture]:
    """A PPS and its id (7.3.2.3)."""
    number, sps = bits.ue(), bits.ue()
    bits.skip(1)
    output_flag, extra = bits.flag(), bits.u(3)
    bits.skip(1)
    cabac_init = bits.flag()
    references = bits.ue() + 1, bits.ue() + 1
    quantiser = 26 + bits.se()
    bits.skip(2)
    varies = bits.flag()
    if varies:
        bits.ue()
    bits.se(), bits.se()
    bits.skip(1)
    weighted, weighted_both = bits.flag(), bits.flag()
    bits.skip(1)
    tiles = bits.flag()
    bits.skip(1)
    if tiles:
        columns, rows = bits.ue(), bits.ue()
        if not bits.flag():
            for _ in range(columns + rows):
                bits.ue()
        bits.skip(1)
    bits.skip(1)
    if bits.flag():  # deblocking
        bits.skip(1)
        if not bits.flag():
            bits.se(), bits.se()
    if bits.flag():
        _scaling_lists(bits)
    modified = bits.flag()
    facts = output_flag, extra, cabac_init, references, quantiser, varies, weighted, weighted_both, modified
    return number, _Picture(sps, *facts)


def _profile(bits: Bits, layers: int) -> None:
    """Profile, tier and level of a stream with so many layers in time beside its first (7.3.3)."""
    bits.skip(88 + 8)
    told = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile, level in told:
        bits.skip(88 * profile + 8 * level)


def _scaling_lists(bits: Bits) -> None:
    """7.3.4."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.se()


def _reference_set(bits: Bits, others: Sequence[_ReferenceSet], *, of_slice: bool) -> _ReferenceSet:
    """7.3.7, and (7-61), (7-62) for one told by its difference from another."""
    if others and bits.flag():
        return _reference_set_by_another(bits, others[-1 - (bits.ue() if of_slice else 0)])
    counts = bits.ue(), bits.ue()
    before, behind = (_differences(bits, count, sign) for count, sign in zip(counts, (-1, 1), strict=True))
    return _ReferenceSet(before, behind)


def _differences(bits: Bits, count: int, sign: int) -> tuple[tuple[int, bool], ...]:
    found, difference = [], 0
    for _ in range(count):
        difference += sign * (bits.ue() + 1)
        found.append((difference, bits.flag()))
    return tuple(found)


def _reference_set_by_another(bits: Bits, other: _ReferenceSet) -> _ReferenceSet:
    """Each picture of the other set, and the picture that set belonged to, as this one sees it."""
    minus = bits.flag()
    step = (bits.ue() + 1) * (-1 if minus else 1)
    found = []
    for difference in [one for one, _ in other.before + other.behind] + [0]:
        used = bits.flag()
        if used or bits.flag():
            found.append((difference + step, used))
    found.sort()
    before = tuple(one for one in reversed(found) if one[0] < 0)
    return _ReferenceSet(before, tuple(one for one in found if one[0] > 0))
