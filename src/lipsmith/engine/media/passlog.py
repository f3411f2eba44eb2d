"""A first pass written down as x264 and x265 read it: each picture's place, type, quantiser and bits.

Takes a `FirstPass`, gives the option that names the file. The forms are those of x264 (encoder/ratecontrol.c) and x265
(encoder/ratecontrol.cpp, 4.2), which refuses statistics of other settings than its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from lipsmith.engine.media.firstpass import MOST_BETWEEN, FirstPass, decoded

_BLOCK = 16  # pixels along a macroblock's side
_VECTORS = {True: 0.1, False: 0.3}  # share of a picture's bits, of intra ones and others, as x264's own passes have it
_REST = 0.1  # share of what no quantiser changes, at most a quarter of a bit per macroblock
_ENDLESS = 2**31 - 1  # x265's name for pictures between keyframes that nobody limits


@contextmanager
def stored(first: FirstPass, encoder: str, rate: Fraction, reorder: int) -> Iterator[Path]:
    """The file, there until the encoder (libx264, libx265) is opened: it reads it at once.

    `rate`: the encoder's frame rate; `reorder`: how deep it may.
    """
    with TemporaryDirectory(prefix="lipsmith-") as folder:
        path = Path(folder) / "pass"
        path.write_text(x264(first) if encoder == "libx264" else x265(first, rate, reorder))
        yield path


def x264(first: FirstPass) -> str:
    """In decoding order."""
    base = first.time_base
    head = f"#options: {first.width}x{first.height} timebase={base.numerator}/{base.denominator} b_adapt=0\n"
    return head + "".join(_x264_line(_Entry.of(first, shown), out) for out, shown in enumerate(decoded(first.types)))


def x265(first: FirstPass, rate: Fraction, reorder: int) -> str:
    """In decoding order."""
    settings = [
        f"fps={rate.numerator}/{rate.denominator}",
        f"input-res={first.width}x{first.height}",
        f"bitdepth={first.bit_depth}",
        f"weightp=1 bframes={MOST_BETWEEN * bool(reorder)} b-adapt=0 {'' if reorder > 1 else 'no-'}b-pyramid",
        f"no-open-gop keyint={_ENDLESS} scenecut=0 no-intra-refresh no-frame-dup ",
    ]
    lines = (_x265_line(_Entry.of(first, shown), out) for out, shown in enumerate(decoded(first.types)))
    return f"#options: {' '.join(settings)}\n" + "".join(lines)


@dataclass(frozen=True)
class _Entry:
    """What both say of a picture."""

    shown: int
    kind: str
    quantiser: float
    ticks: int
    texture: int  # bits
    vectors: int
    rest: int
    intra: int  # macroblocks
    others: int

    @classmethod
    def of(cls, first: FirstPass, shown: int) -> _Entry:
        kind, bits = first.types[shown], 8 * int(first.octets[shown])
        blocks = -(-first.width // _BLOCK) * -(-first.height // _BLOCK)
        rest = round(min(_REST * bits, blocks / 4))
        vectors = round(_VECTORS[kind in "Ii"] * (bits - rest))
        intra = blocks if kind in "Ii" else 0
        quantiser, ticks = float(first.quantisers[shown]), int(first.ticks[shown])
        return cls(shown, kind, quantiser, ticks, bits - rest - vectors, vectors, rest, intra, blocks - intra)


def _x264_line(one: _Entry, out: int) -> str:
    ticks, q = 2 * one.ticks, one.quantiser  # it counts fields
    return (
        f"in:{one.shown} out:{out} type:{one.kind} dur:{ticks} cpbdur:{ticks} q:{q:.2f} aq:{q:.2f} "
        f"tex:{one.texture} mv:{one.vectors} misc:{one.rest} imb:{one.intra} pmb:{one.others} smb:0 d:- ref:;\n"
    )


def _x265_line(one: _Entry, out: int) -> str:
    q = f"{one.quantiser:.2f}"
    scale = 0.85 * 2 ** ((one.quantiser - 12) / 6)  # x265_qp2qScale
    return (
        f"in:{one.shown} out:{out} type:{one.kind} q:{q} q-aq:{q} q-noVbv:{q} q-Rceq:{scale:.2f} "
        f"tex:{one.texture} mv:{one.vectors} misc:{one.rest} icu:{one.intra}.00 pcu:{one.others}.00 scu:0.00 sc:0 ;\n"
    )
