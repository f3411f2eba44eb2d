"""Selected time ranges of a shot: seconds or SMPTE labels in, half-open seconds out. The contract's §7.4.

Labels are read by the engine's own clock, which loads nothing heavy, at the shot's own rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from lipsmith.engine.media.clock import frame_of_label, seconds_of_index
from lipsmith.errors import BadRange

MOST_RANGES = 1000


class BadRanges(ValueError):
    """A sentence about what is wrong with the ranges."""


@dataclass(frozen=True)
class ShotClock:
    """What reading a label needs to know. `duration_seconds` None: not known from the header."""

    rate: Fraction
    duration_seconds: float | None
    constant_rate: bool


def read_ranges(ranges: list[list[object]], clock: ShotClock) -> list[tuple[float, float]]:
    """Sorted (start, end) seconds, ends cut to the duration. Raises BadRanges."""
    if not 1 <= len(ranges) <= MOST_RANGES:
        raise BadRanges(f"1 to {MOST_RANGES} ranges are allowed")
    ends = [end for pair in ranges for end in pair]
    labels = all(isinstance(end, str) for end in ends)
    if not labels and not all(_is_seconds(end) for end in ends):
        raise BadRanges("all ends must be numbers of seconds from 0, or all SMPTE labels; the two cannot be mixed")
    if labels and not clock.constant_rate:
        raise BadRanges("this shot has a variable frame rate: give seconds instead of SMPTE labels")
    read = sorted((_seconds(a, clock), _seconds(b, clock)) for a, b in ranges)
    _require_order(read)
    if clock.duration_seconds is None:
        return read
    half = float(1 / clock.rate / 2)
    if read[-1][1] > clock.duration_seconds + half:
        raise BadRanges(f"a range ends after the shot, which is {clock.duration_seconds:.3f} s long")
    return [(start, min(end, clock.duration_seconds)) for start, end in read]


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _seconds(end: object, clock: ShotClock) -> float:
    if not isinstance(end, str):
        return float(end)  # type: ignore[arg-type]
    try:
        return seconds_of_index(frame_of_label(end, clock.rate), clock.rate)
    except BadRange as error:
        raise BadRanges(str(error)) from error


def _require_order(ranges: list[tuple[float, float]]) -> None:
    if any(start >= end for start, end in ranges):
        raise BadRanges("each range must start before it ends")
    if any(after[0] < before[1] - 1e-9 for before, after in zip(ranges, ranges[1:], strict=False)):
        raise BadRanges("ranges must not overlap")
