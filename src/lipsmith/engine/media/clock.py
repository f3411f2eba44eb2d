"""Time: the only converter between PTS, frame index, seconds and sample index.

Takes integers with their time base (`Fraction`), gives integers or seconds; knows no file. Seconds are counted from the
first presented frame wherever a range is meant; PTS stay on the container's own clock.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lipsmith.engine.media.spec import VideoSpec
from lipsmith.errors import BadRange

# A frame this close to an edge counts as on it: decimals typed by people, time stamps rounded to milliseconds.
EDGE_TOLERANCE_SECONDS = 0.001

_SMPTE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;])(\d\d)")
_DROPPED_LABELS = {Fraction(30000, 1001): 2, Fraction(60000, 1001): 4}  # per minute, except each tenth


@dataclass(frozen=True)
class Span:
    """A stretch of the video, half open, in seconds from its first frame."""

    start_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds < self.end_seconds:
            raise BadRange(
                f"The range {self.start_seconds:g}-{self.end_seconds:g} s must start at 0 or later and before its end."
            )

    def contains(self, seconds: float) -> bool:
        """Is a frame shown at `seconds` inside, with the edges' tolerance of 1 ms?"""
        return self.start_seconds - EDGE_TOLERANCE_SECONDS <= seconds < self.end_seconds - EDGE_TOLERANCE_SECONDS


def seconds_of_pts(pts: int, time_base: Fraction, origin_pts: int = 0) -> float:
    """Seconds from `origin_pts` to `pts`."""
    return float((pts - origin_pts) * time_base)


def pts_of_seconds(seconds: float | Fraction, time_base: Fraction, origin_pts: int = 0) -> int:
    """The nearest time stamp, `seconds` after `origin_pts`."""
    return origin_pts + round(Fraction(seconds) / time_base)


def rescale(pts: int, from_base: Fraction, to_base: Fraction) -> int:
    """The same instant in another time base, rounded to its nearest tick."""
    return round(pts * from_base / to_base)


def seconds_of_index(index: int, frame_rate: Fraction) -> float:
    """When frame `index` of a constant-rate video is shown, in seconds from frame 0."""
    return float(index / frame_rate)


def index_of_seconds(seconds: float, frame_rate: Fraction) -> int:
    """The constant-rate frame on screen at `seconds`; a time 1 ms before its start counts as its start."""
    return max(math.floor((seconds + EDGE_TOLERANCE_SECONDS) * frame_rate), 0)


def sample_of_seconds(seconds: float | Fraction, sample_rate: int) -> int:
    """The nearest sample index."""
    return round(seconds * sample_rate)


def seconds_of_sample(sample: int, sample_rate: int) -> float:
    return sample / sample_rate


def parse_range(text: str, spec: VideoSpec) -> Span:
    """`START-END`, both in seconds ("1.5-4") or both SMPTE ("00:00:01:12-00:00:04:00"), within the video.

    SMPTE is read at the video's own rate, `00:00:00:00` being the first frame, with `;` before the frames for
    drop-frame. An end up to half a frame past the video is cut to it. Raises BadRange.
    """
    ends = [part.strip() for part in text.split("-")]
    if len(ends) != 2 or not all(ends):
        raise BadRange(f"The range '{text}' is not START-END, such as 1.5-4 or 00:00:01:12-00:00:04:00.")
    if len({":" in end for end in ends}) == 2:
        raise BadRange(f"The range '{text}' mixes seconds and SMPTE; use one of them.")
    start, end = (_smpte(part, spec) if ":" in part else _decimal(part) for part in ends)
    if start >= end:
        raise BadRange(f"The range '{text}' must start before its end.")
    duration = spec.duration_seconds_from_content
    if end > duration + float(1 / spec.frame_rate) / 2 or start >= duration:
        raise BadRange(f"The range '{text}' passes the end of the video at {duration:.3f} s.")
    return Span(start, min(end, duration))


def parse_moment(text: str, spec: VideoSpec) -> float:
    """A moment of the video, told in seconds or SMPTE as in a range: seconds from the first frame. Raises BadRange."""
    seconds = _smpte(text.strip(), spec) if ":" in text else _decimal(text)
    if not 0 <= seconds < spec.duration_seconds_from_content:
        raise BadRange(f"'{text}' is not within the video, which lasts {spec.duration_seconds_from_content:.3f} s.")
    return seconds


def parse_ranges(texts: Sequence[str], spec: VideoSpec) -> tuple[Span, ...]:
    """Several ranges in the order of time. Raises BadRange, also where two overlap; touching is allowed."""
    spans = sorted((parse_range(text, spec) for text in texts), key=lambda span: span.start_seconds)
    for earlier, later in itertools.pairwise(spans):
        if later.start_seconds < earlier.end_seconds - EDGE_TOLERANCE_SECONDS:
            raise BadRange(
                f"The ranges {earlier.start_seconds:g}-{earlier.end_seconds:g} s and "
                f"{later.start_seconds:g}-{later.end_seconds:g} s overlap."
            )
    return tuple(spans)


def _decimal(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadRange(f"'{text}' is neither seconds nor SMPTE (HH:MM:SS:FF).") from None
    if not math.isfinite(value):
        raise BadRange(f"'{text}' is not a time.")
    return value


def _smpte(text: str, spec: VideoSpec) -> float:
    """Seconds of a SMPTE label at the video's exact rate. Raises BadRange."""
    if spec.variable_rate:
        raise BadRange(f"This video has a variable frame rate: give '{text}' in seconds.")
    return seconds_of_index(frame_of_label(text, spec.frame_rate), spec.frame_rate)


def frame_of_label(text: str, frame_rate: Fraction) -> int:
    """The frame a SMPTE label names, `00:00:00:00` being 0; drop-frame after SMPTE 12M. Raises BadRange."""
    match = _SMPTE.fullmatch(text)
    if match is None:
        raise BadRange(f"'{text}' is not SMPTE: HH:MM:SS:FF, or HH:MM:SS;FF for drop-frame, two digits each.")
    hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
    nominal = round(frame_rate)
    if hours >= 24 or minutes >= 60 or seconds >= 60 or frames >= nominal:
        raise BadRange(f"'{text}' is out of bounds: HH < 24, MM and SS < 60, FF < {nominal}.")
    number = nominal * (3600 * hours + 60 * minutes + seconds) + frames
    if match[4] == ";":
        number -= _dropped_before(text, 60 * hours + minutes, seconds, frames, frame_rate)
    return number


def _dropped_before(text: str, minutes: int, seconds: int, frames: int, frame_rate: Fraction) -> int:
    """How many labels drop-frame has left out before this one. Raises BadRange."""
    dropped = _DROPPED_LABELS.get(frame_rate)
    if dropped is None:
        raise BadRange(
            f"'{text}' is drop-frame, which exists only at 29.97 and 59.94; this video has {float(frame_rate):.3f}."
        )
    if seconds == 0 and frames < dropped and minutes % 10:
        raise BadRange(f"'{text}' does not exist in drop-frame: the first {dropped} labels of that minute are dropped.")
    return dropped * (minutes - minutes // 10)
