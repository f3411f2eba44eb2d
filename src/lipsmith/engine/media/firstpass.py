"""The source as x264's first pass: what its encoder spent on each picture tells ours how to spend the same.

Takes the packets of a run and their quantisers, writes the statistics that x264 reads in a second pass (x264,
encoder/ratecontrol.c): each picture's place, type, quantiser and bits. x264 plans the whole run from them and keeps to
the octets it is given; neither a look ahead nor a trial is needed. On eight shots octets came within 5 % of those asked
for; beside a constant rate factor at the same octets luma 0.1 dB better, of the worst picture 0.7 dB, in three quarters
of the time (docs/log.md).

Pictures that the source shows before one they are decoded after become B-frames, x264's way: the middle one of several
may be leant on. Where the run leaves no room for reordering all lean on those before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lipsmith.engine.media import quantiser
from lipsmith.engine.media.gops import PacketIndex
from lipsmith.engine.media.quantiser import Quantised
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.engine.media.splice import Run

MOST_BETWEEN = 8  # B-frames in a row; x264 takes 16
_BLOCK = 16  # pixels along a macroblock's side
_VECTORS = {True: 0.1, False: 0.3}  # share of a picture's bits, of intra ones and others, as x264's own passes have it
_REST = 0.1  # share of what no quantiser changes, at most a quarter of a bit per macroblock
_FINEST, _MUCH_FINER = 16, 3.0  # quantiser (of 8 bits) below which bits show nothing, unless the source went as far
_PER_BIT = 6  # by how much the scale is longer for each bit of depth more


@dataclass(frozen=True)
class FirstPass:
    """What the source's encoder did with the pictures of a run, as they are shown; types as ours shall choose them."""

    types: str  # I: keyframe, i: intra, P, B: leant on, b (x264's letters)
    quantisers: np.ndarray  # (F,) float64, mean over a picture's blocks, on the decoder's scale
    octets: np.ndarray  # (F,) int64
    ticks: np.ndarray  # (F,) int64: how long each is shown, in the stream's time base
    time_base: Fraction
    width: int
    height: int
    bit_depth: int
    allowed: float  # octets that ours may take

    def __post_init__(self) -> None:
        if not len(self.types) == len(self.quantisers) == len(self.octets) == len(self.ticks):
            raise ValueError(f"one of each per picture: {len(self.types)}, {len(self.quantisers)}, {len(self.octets)}")

    @property
    def seconds(self) -> float:
        return float(int(self.ticks.sum()) * self.time_base)

    @property
    def finest(self) -> int:
        """The quantiser below which nothing is gained, whatever the budget."""
        fine = _FINEST + _PER_BIT * (self.bit_depth - 8)
        return max(round(min(float(self.quantisers.mean()) - _MUCH_FINER, fine)), 0)

    @contextmanager
    def stored(self) -> Iterator[dict[str, str]]:
        """The option that names a file of the statistics, there until x264 is opened: it reads them at once."""
        with TemporaryDirectory(prefix="lipsmith-") as folder:
            path = Path(folder) / "pass"
            self.write(path)
            yield {"stats": str(path)}

    def write(self, path: Path) -> None:
        """x264's statistics, in decoding order."""
        base = self.time_base
        head = f"#options: {self.width}x{self.height} timebase={base.numerator}/{base.denominator} b_adapt=0\n"
        path.write_text(head + "".join(self._line(at, out) for out, at in enumerate(_decoded(self.types))))

    def _line(self, shown: int, decoded: int) -> str:
        kind, bits = self.types[shown], 8 * int(self.octets[shown])
        blocks = -(-self.width // _BLOCK) * -(-self.height // _BLOCK)
        rest = round(min(_REST * bits, blocks / 4))
        vectors = round(_VECTORS[kind in "Ii"] * (bits - rest))
        intra = blocks if kind in "Ii" else 0
        ticks, q = 2 * int(self.ticks[shown]), self.quantisers[shown]  # x264 counts fields
        return (
            f"in:{shown} out:{decoded} type:{kind} dur:{ticks} cpbdur:{ticks} q:{q:.2f} aq:{q:.2f} "
            f"tex:{bits - rest - vectors} mv:{vectors} misc:{rest} imb:{intra} pmb:{blocks - intra} smb:0 d:- ref:;\n"
        )


def of_run(
    spec: MediaSpec, video: VideoSpec, index: PacketIndex, run: Run, *, reorder: int, allowed: float
) -> FirstPass | None:
    """Of a run, `reorder`: how deep ours may, `allowed`: octets. None where the decoder tells no quantiser."""
    packets = index.as_shown[run.frames.start : run.frames.stop]
    stamps = index.pts[packets]
    told = _aligned(stamps, quantiser.read(spec, index, run.frames))
    if told is None:
        return None
    ticks = np.diff(index.stamps[run.frames.start : run.frames.stop + 1])
    if len(ticks) < len(stamps):  # nothing is shown behind it
        ticks = np.append(ticks, int(np.median(ticks)) if len(ticks) else 1)
    latest = np.maximum.accumulate(index.pts)[packets]
    types = picture_types(
        [int(pts) in run.keyframes for pts in stamps],
        [one.intra for one in told],
        (stamps < latest).tolist(),
        reorder,
    )
    values = np.array([one.quantiser for one in told])
    octets = index.octets[packets].astype(np.int64)
    shape = video.width, video.height, video.bit_depth
    return FirstPass(types, values, octets, ticks, video.time_base, *shape, allowed)


def _aligned(stamps: np.ndarray, told: Sequence[Quantised]) -> list[Quantised] | None:
    """One per time stamp; a picture that its decoder did not give is taken to be like the others."""
    if not told:
        return None
    by_stamp = {one.pts: one for one in told}
    usual = Quantised(0, False, float(np.mean([one.quantiser for one in told])))
    return [by_stamp.get(int(pts), usual) for pts in stamps]


def picture_types(keyframe: Sequence[bool], intra: Sequence[bool], between: Sequence[bool], reorder: int) -> str:
    """x264's letter for each picture as shown. `between`: the source decodes it after one that is shown later.

    A picture before a keyframe or the run's end has nothing behind it to lean on, and leans back. The first is a
    keyframe: a run begins an encoder of its own.
    """
    letters = ["I" if key else "i" if alone else "P" for key, alone in zip(keyframe, intra, strict=True)]
    letters[:1] = "I"
    if not reorder:
        return "".join(letters)
    for some in _stretches(letters, between):
        for at in some:
            letters[at] = "b"
        if reorder > 1 and len(some) > 1:
            letters[some[(len(some) - 1) // 2]] = "B"
    return "".join(letters)


def _stretches(letters: Sequence[str], between: Sequence[bool]) -> Iterator[range]:
    """Neighbouring pictures that may lean on one behind them, no more than `MOST_BETWEEN` at once."""
    start = 0
    for at, letter in enumerate(letters):
        last = at + 1 == len(letters) or letters[at + 1] == "I"
        full = at - start == MOST_BETWEEN
        if between[at] and letter == "P" and not last and not full:
            continue
        if at > start:
            yield range(start, at)
        start = at + 1


def _between(letter: str) -> bool:
    return letter in "Bb"


def _decoded(types: str) -> Iterator[int]:
    """Places as shown, in the order of decoding: one that others lean on, then those shown before it."""
    waiting: list[int] = []
    for at, letter in enumerate(types):
        if _between(letter):
            waiting.append(at)
            continue
        yield at
        yield from sorted(waiting, key=lambda place: types[place] != "B")
        waiting.clear()
