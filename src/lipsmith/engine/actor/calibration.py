"""From what any mouth should do to what this actor's mouth does: rest pose, range, and his own shapes.

Takes a generic `MouthPath`, gives mouths in the actor's own frame. Projection on near shapes is locally linear
embedding (Roweis & Saul 2000), as Live Speech Portraits (Lu et al. 2021) uses it to keep a face its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.mouth import MouthBasis, MouthPath

NEIGHBOURS = 12
_DEPTH_WEIGHT, _CHIN_WEIGHT = 0.3, 0.5  # depth is guessed by the mesh; the chin follows the lips
_GAP_WEIGHT, _WIDTH_WEIGHT = 6.0, 3.0  # opening and width must survive the projection
_REGULAR = 0.05
_BEYOND = 0.15  # how far past his own widest the actor may be taken, in parts of his range
_SHUT_PERCENTILE = 4  # of his gaps: the mouth at rest is shut like this, in the shape of his closed quarter
_SHUT = 0.008  # face widths: lips that meet are no farther apart, even those of one who is never seen to shut them
_CHUNK = 256  # frames compared with a library at once

# Who is not seen to speak (`mouth.stillness`) opens as mouths do, as far as is usual.
_USUAL_GAP, _USUAL_WIDTH = 0.10, (-0.04, 0.02)  # face widths from the mouth at rest
_PULL, _PULL_STILL = 1e-6, 1e-4  # towards everybody's way of opening, squared face widths
_MEASURES = (mouth.gap, mouth.width)

_GAIN_RANGE = (0.6, 1.6)
_LEAST_ROWS = 150  # of his own speech: less teaches nothing about a manner
_THIRDS = 9  # parts of his time, every third of them held out
_SHRINK = 0.5  # of the variance of generic coefficients, which is about 1
_LEAST_GAIN = 0.01  # of correlation: less is chance


@dataclass(frozen=True)
class Calibration:
    """How this actor speaks. Points are (51, 3), face widths, own frame."""

    rest: np.ndarray  # (51, 3) his closed mouth
    gain: float  # his range over the generic one
    opening: np.ndarray  # (51, 3) how his mouth changes per unit of inner gap
    widening: np.ndarray  # (51, 3) ... per unit of width, the gap left alone
    gap_range: tuple[float, float]  # least and greatest inner gap seen, face widths
    width_range: tuple[float, float]
    manner: np.ndarray  # (K, K) generic coefficients -> his, before the gain; the unit matrix where none was learnt
    manner_gain: float = 0.0  # of correlation with his real mouth, on the third of his speech kept from learning

    def with_gap(self, points: np.ndarray, gap: np.ndarray | float) -> np.ndarray:
        """(T, 51, 3) mouths opened or closed in his way until their inner gap is this, (T,) face widths."""
        return points + (gap - mouth.gap(points))[:, None, None] * self.opening

    def with_width(self, points: np.ndarray, width: np.ndarray | float) -> np.ndarray:
        """(T, 51, 3) mouths widened in his way until their width is this, (T,) face widths."""
        return points + (width - mouth.width(points))[:, None, None] * self.widening


def calibrate(points: np.ndarray, rest: np.ndarray, *, heard: bool = False) -> Calibration:
    """From the (S, 51, 3) mouths of his footage; `heard`: it holds his speech in sync.

    His manner needs that speech itself: see `with_manner`.
    """
    gap, width = mouth.gap(points), mouth.width(points)
    basis, still = MouthBasis.load(), mouth.stillness(points, heard=heard)
    gain = float(np.clip(np.std(gap) / mouth.UNIT_GAP_DEVIATION, *_GAIN_RANGE))
    flat = (points - points.mean(0)).reshape(len(points), -1)
    causes = np.stack([gap - gap.mean(), width - width.mean()], 1)
    pull = (_PULL + still * _PULL_STILL) * len(points)
    everybodys = _everybodys_slopes(basis)
    slopes = np.linalg.solve(causes.T @ causes + pull * np.eye(2), causes.T @ flat + pull * everybodys)
    opening, widening = (_unit(slope.reshape(-1, 3), of) for slope, of in zip(slopes, _MEASURES, strict=True))
    shut = min(float(np.percentile(gap, _SHUT_PERCENTILE)), _SHUT)
    rest = rest + min(0.0, shut - float(mouth.gap(rest))) * opening
    least, most = _range(gap, (shut, shut + _USUAL_GAP), still)
    return Calibration(
        rest.astype(np.float32),
        (1 - still) * gain + still,
        opening,
        widening,
        (min(shut, least), most),
        _range(width, tuple(float(mouth.width(rest)) + by for by in _USUAL_WIDTH), still),  # type: ignore[arg-type]
        np.eye(basis.size, dtype=np.float32),
    )


def _range(values: np.ndarray, usual: tuple[float, float], still: float) -> tuple[float, float]:
    """(least, greatest) seen, or as far as is usual where he was seen not to speak."""
    low, high = (float(np.percentile(values, q)) for q in (0.5, 99.5))
    return low + still * min(usual[0] - low, 0.0), high + still * max(usual[1] - high, 0.0)


def _everybodys_slopes(basis: MouthBasis) -> np.ndarray:
    """(2, 153) how mouths change per unit of gap and of width, were all directions of the basis as likely."""
    shapes = basis.components.reshape(basis.size, -1, 3)
    causes = np.stack([of(shapes) for of in _MEASURES], 1)
    return np.linalg.solve(causes.T @ causes, causes.T @ basis.components)


def with_manner(calibration: Calibration, heard: MouthPath, points: np.ndarray, basis: MouthBasis) -> Calibration:
    """The calibration with what he does differently from everybody, learnt from his own synced speech.

    `heard`: N rows of generic motion for his own voice; `points`: the (N, 51, 3) mouths he made. A linear map of
    coefficients, shrunk towards none (ridge), is fitted on two thirds of his time and kept only where it follows
    the last third better; then it is fitted on all.
    """
    if len(heard) < _LEAST_ROWS:
        return calibration
    said = heard.coefficients
    did = basis.coefficients(points - calibration.rest) / calibration.gain
    kept = np.arange(len(said)) * _THIRDS // len(said) % 3 != 1  # every third part of his time is held out
    trial = _manner(said[kept], did[kept])
    usual, his = (_follows(said[~kept] @ matrix, did[~kept], basis) for matrix in (np.eye(len(trial)), trial))
    if his - usual < _LEAST_GAIN:
        return calibration
    return replace(calibration, manner=_manner(said, did), manner_gain=his - usual)


def _manner(said: np.ndarray, did: np.ndarray) -> np.ndarray:
    """(K, K) float32 ridge regression towards the unit matrix."""
    gram = said.T @ said + _SHRINK * len(said) * np.eye(said.shape[1])
    return (np.eye(said.shape[1]) + np.linalg.solve(gram, said.T @ (did - said))).astype(np.float32)


def _follows(said: np.ndarray, did: np.ndarray, basis: MouthBasis) -> float:
    """Mean correlation of opening and width."""
    a, b = basis.displacements(said), basis.displacements(did)
    return float(np.mean([np.corrcoef(of(a), of(b))[0, 1] for of in (mouth.gap, mouth.width)]))


def wanted(path: MouthPath, basis: MouthBasis, calibration: Calibration, strength: float = 1.0) -> np.ndarray:
    """(T, 51, 3) mouths that say `path` at this actor's range; not yet his own shapes."""
    his = path.coefficients @ calibration.manner
    return calibration.rest + strength * calibration.gain * basis.displacements(his)


def project(mouths: np.ndarray, library: np.ndarray, calibration: Calibration) -> np.ndarray:
    """(T, 51, 3) mouths -> the nearest the actor can do, built of his own (S, 51, 3) shapes; float32.

    Opening and width are kept as wanted within his range; all else is his.
    """
    done = [_restored(_own_shapes(part, library), part, calibration).astype(np.float32) for part in parts(mouths)]
    return np.concatenate(done)


def _own_shapes(mouths: np.ndarray, library: np.ndarray) -> np.ndarray:
    goals, shapes = _traits(mouths), _traits(library)
    square = (goals**2).sum(1)[:, None] - 2 * goals @ shapes.T + (shapes**2).sum(1)  # (T, S)
    count = min(NEIGHBOURS, len(library))
    near = np.argpartition(square, count - 1, axis=1)[:, :count]
    apart = shapes[near] - goals[:, None]  # (T, k, traits)
    gram = apart @ apart.transpose(0, 2, 1)
    gram += np.eye(count) * (_REGULAR * np.trace(gram, axis1=1, axis2=2)[:, None, None] + 1e-9)
    weights = np.linalg.solve(gram, np.ones((len(goals), count, 1)))[..., 0]
    weights = np.clip(weights / weights.sum(1, keepdims=True), 0, None)
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("tk,tkpc->tpc", weights, library[near])


def _restored(own: np.ndarray, mouths: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Opening and width given back to projected shapes, softly limited to what the actor was seen to do."""
    opened = calibration.with_gap(own, _limited(mouth.gap(mouths), calibration.gap_range))
    return calibration.with_width(opened, _limited(mouth.width(mouths), calibration.width_range))


def _limited(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Values inside the bounds as they are; beyond, bent towards a limit a little outside."""
    low, high = bounds
    room = _BEYOND * (high - low) + 1e-6
    over, under = np.clip(values - high, 0, None), np.clip(low - values, 0, None)
    return np.clip(values, low, high) + room * np.tanh(over / room) - room * np.tanh(under / room)


def _traits(points: np.ndarray) -> np.ndarray:
    """(T, 153 + 6) what two mouths are compared by."""
    weighted = points * np.array([1, 1, _DEPTH_WEIGHT])
    weighted[:, -len(mouth.CHIN) :] *= _CHIN_WEIGHT
    flat = weighted.reshape(len(points), -1)
    return np.concatenate([flat, _GAP_WEIGHT * mouth.gaps(points), _WIDTH_WEIGHT * mouth.width(points)[:, None]], 1)


def _unit(slope: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A direction scaled so that moving by 1 changes its own measure by 1."""
    change = float(of(slope))
    return (slope / change if abs(change) > 1e-6 else slope).astype(np.float32)


def parts(rows: np.ndarray) -> list[np.ndarray]:
    """(T, ...) rows, so many at a time as may be compared with a whole library."""
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
