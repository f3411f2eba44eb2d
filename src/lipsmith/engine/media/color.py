"""A frame's own samples in and out, and what colour they are. The one place that knows pixel formats.

Edits happen in the decoder's planes and bit depth: `read_codes` gives native code values on the luma grid,
`write_codes` puts them back under a matte and leaves every sample outside it as it was. Working RGB, what networks and
eyes see, is 8-bit, full-range, gamma-encoded R'G'B' in the source's own primaries and transfer (`codes_to_rgb`).

Chroma is taken as left-sited (level with every second luma column, halfway between two luma rows), the default of
H.264, HEVC and MPEG-2. Files sited otherwise are read and written half a luma pixel off, both ways alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.spec import Coding
from lipsmith.errors import UnsupportedVideo

_PLANAR_YUV = re.compile(r"yuv[aj]?4(20|22|44)p(?:(9|10|12|14|16)le)?")
_PLANAR_RGB = re.compile(r"gbra?p(?:(9|10|12|14|16)le)?")
# (Kr, Kb) by H.273 matrix number; FFmpeg takes BT.601 where nothing is said, and so do we.
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_DEFAULT_LUMA_WEIGHTS = (0.299, 0.114)
_TRIANGLE = np.array([[0.25, 0.5, 0.25]], np.float32)
_SPLINE = 2  # columns that a cubic spline asks for on either side
_BETWEEN = np.array([[-1], [9], [9], [-1]], np.float32) / 16  # half-way between the middle two


@dataclass(frozen=True)
class _Layout:
    """Where the samples of a pixel format lie."""

    is_rgb: bool
    planes: tuple[int, int, int]  # plane of component 0, 1, 2 (Y, U, V or R, G, B)
    steps: tuple[int, int, int]  # samples from one pixel to the next within a row
    offsets: tuple[int, int, int]  # of the component within a pixel, in samples
    chroma_step_x: int
    chroma_step_y: int
    dtype: type[np.generic]


@lru_cache(maxsize=32)
def _layout(pix_fmt: str) -> _Layout:
    """Raises UnsupportedVideo."""
    planar, apart, together = (0, 1, 2), (1, 1, 1), (0, 0, 0)
    if match := _PLANAR_YUV.fullmatch(pix_fmt):
        step_x, step_y = {"20": (2, 2), "22": (2, 1), "44": (1, 1)}[match[1]]
        return _Layout(False, planar, apart, together, step_x, step_y, np.uint16 if match[2] else np.uint8)
    if match := _PLANAR_RGB.fullmatch(pix_fmt):
        return _Layout(True, (2, 0, 1), apart, together, 1, 1, np.uint16 if match[1] else np.uint8)
    if known := _OTHERS.get(pix_fmt):
        return known
    raise UnsupportedVideo(f"Pictures in the pixel format {pix_fmt} cannot be edited; convert the video to yuv420p.")


def _packed_rgb(step: int, red: int, green: int, blue: int, dtype: type[np.generic] = np.uint8) -> _Layout:
    return _Layout(True, (0, 0, 0), (step, step, step), (red, green, blue), 1, 1, dtype)


def _packed_422(luma: int, blue: int, red: int) -> _Layout:
    return _Layout(False, (0, 0, 0), (2, 4, 4), (luma, blue, red), 2, 1, np.uint8)


_OTHERS = {
    "nv12": _Layout(False, (0, 1, 1), (1, 2, 2), (0, 0, 1), 2, 2, np.uint8),
    "nv16": _Layout(False, (0, 1, 1), (1, 2, 2), (0, 0, 1), 2, 1, np.uint8),
    "yuyv422": _packed_422(0, 1, 3),
    "uyvy422": _packed_422(1, 0, 2),
    "rgb24": _packed_rgb(3, 0, 1, 2),
    "bgr24": _packed_rgb(3, 2, 1, 0),
    "rgb48le": _packed_rgb(3, 0, 1, 2, np.uint16),
    **{name: _packed_rgb(4, 0, 1, 2) for name in ("rgba", "rgb0")},
    **{name: _packed_rgb(4, 2, 1, 0) for name in ("bgra", "bgr0")},
    **{name: _packed_rgb(4, 1, 2, 3) for name in ("argb", "0rgb")},
}


def has_quarter_chroma(pix_fmt: str) -> bool:
    """Has it one chroma sample for four of luma? Raises UnsupportedVideo."""
    layout = _layout(pix_fmt)
    return layout.chroma_step_x * layout.chroma_step_y == 4


def require_editable(pix_fmt: str) -> None:
    """Raises UnsupportedVideo where `read_codes` and `write_codes` do not know the pixel format."""
    _layout(pix_fmt)


def luma(frame: Frame) -> np.ndarray:
    """(H, W) uint8, the whole picture's; of R'G'B' its red."""
    samples = _component(frame, _layout(frame.picture.format.name), 0)
    beyond = frame.picture.format.components[0].bits - 8
    return np.ascontiguousarray(samples) if beyond == 0 else (samples >> beyond).astype(np.uint8)


def read_codes(frame: Frame, box: Box) -> np.ndarray:
    """Native codes within `box`: (h, w, 3) uint8 or uint16, Y U V (or R G B), chroma brought linearly to the luma grid.

    Of a field the lines between its own are interpolated, of a squeezed picture columns. The box must be aligned to the
    chroma step (`Box.aligned(2, ...)`) and lie inside the picture. Raises UnsupportedVideo.
    """
    if frame.stretch != 1:
        around = _around(frame, box)
        return _unsqueezed(read_codes(replace(frame, stretch=1.0), around), frame.stretch, around, box)
    if frame.parity is None:
        return _read(frame, box)
    lines = _lines_of_field(box, frame)
    doubled = with_lines_between(_read(frame, lines), frame.parity)
    return doubled[box.top - 2 * lines.top :][: box.height]


def _around(frame: Frame, box: Box) -> Box:
    """The coded columns that show a box, and those that a spline asks for beside them."""
    return frame.coded(box, _SPLINE).aligned(2, frame.picture.width, frame.picture.height)


def _unsqueezed(codes: np.ndarray, stretch: float, around: Box, box: Box) -> np.ndarray:
    """(h, w, 3) codes of the coded columns of `around` as they are seen in `box`; beyond the picture its edge."""
    return _columns(codes, 1 / stretch, around, box, cv2.BORDER_REPLICATE)


def _squeezed(values: np.ndarray, stretch: float, around: Box, box: Box) -> np.ndarray:
    """The way back, of float32 that is zero outside `box`."""
    return _columns(values, stretch, box, around, cv2.BORDER_CONSTANT)


def _columns(values: np.ndarray, step: float, of: Box, wanted: Box, border: int) -> np.ndarray:
    """What lies in the columns of one box, sampled by a cubic spline where those of another lie, `step` apart."""
    first = (wanted.left + 0.5) * step - 0.5 - of.left
    matrix, flags = np.array([[step, 0, first], [0, 1, 0]]), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, matrix, (wanted.width, len(values)), flags=flags, borderMode=border)


def with_lines_between(lines: np.ndarray, parity: int) -> np.ndarray:
    """(n, w, c) lines of one field -> (2 n, w, c) of the picture: its own as they are, a cubic spline's between."""
    doubled = np.empty((2 * len(lines), *lines.shape[1:]), lines.dtype)
    between = cv2.filter2D(lines, -1, _BETWEEN, anchor=(0, 1), borderType=cv2.BORDER_REPLICATE)
    doubled[parity::2] = lines
    if parity == 0:
        doubled[1::2] = between
    else:
        doubled[0], doubled[2::2] = lines[0], between[:-1]
    return doubled


def _lines_of_field(box: Box, frame: Frame) -> Box:
    """The box on the field's own lines, with one whole chroma line more above and below, where there is one."""
    last = frame.picture.height // 2
    return Box(box.left, max(0, box.top // 4 * 2 - 2), box.right, min(last, -(-box.bottom // 4) * 2 + 2))


def _read(frame: Frame, box: Box) -> np.ndarray:
    layout = _layout(frame.picture.format.name)
    samples = [_component(frame, layout, index) for index in range(3)]
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    luma = samples[0][rows, columns]
    if layout.chroma_step_x == 1:
        return cv2.merge([np.ascontiguousarray(part[rows, columns]) for part in samples])
    chroma = [_upsampled(part, box, layout) for part in samples[1:]]
    return cv2.merge([np.ascontiguousarray(luma), *chroma])


def read_halved_codes(frame: Frame, box: Box) -> np.ndarray:
    """The same at half the size, (h / 2, w / 2, 3), of a picture with a quarter of chroma: its own grid is that.

    A chroma sample stands for the four of luma around it, though it lies a quarter of a pixel to the left of their
    middle. The box must begin at even pixels; where it ends at an odd edge of the picture the last cell is whole.
    """
    layout = _layout(frame.picture.format.name)
    grid = _chroma_box(box, layout)
    if frame.parity is not None or frame.stretch != 1:
        return cv2.resize(read_codes(frame, box), (grid.width, grid.height), interpolation=cv2.INTER_AREA)
    luma, *chroma = (_component(frame, layout, index) for index in range(3))
    small = cv2.resize(
        luma[box.top : box.bottom, box.left : box.right], (grid.width, grid.height), interpolation=cv2.INTER_AREA
    )
    parts = [np.ascontiguousarray(part[grid.top : grid.bottom, grid.left : grid.right]) for part in chroma]
    return cv2.merge([small, *parts])


def write_codes(frame: Frame, box: Box, codes: np.ndarray, matte: np.ndarray) -> None:
    """Put `codes` (h, w, 3; as `read_codes` gives) back: each sample becomes round(matte·new + (1 − matte)·old).

    `matte` is (h, w) float32 in [0, 1]. A chroma sample gets the average of the codes around it and of the matte over
    its own luma samples; where the matte is 0 no sample changes by a bit. Of a field only its own lines are written.
    Raises UnsupportedVideo.
    """
    frame.picture.make_writable()  # the decoder may still predict from these planes
    if frame.stretch != 1:
        # What differs is squeezed, not what there is: unchanged codes stay as they were, to the bit.
        coded, around = replace(frame, stretch=1.0), _around(frame, box)
        there = read_codes(coded, around)
        seen = _unsqueezed(there, frame.stretch, around, box)
        change = _squeezed(codes.astype(np.float32) - seen, frame.stretch, around, box)
        shown = np.clip(_squeezed(matte.astype(np.float32), frame.stretch, around, box), 0, 1)
        new = np.clip(np.rint(there + change), 0, _largest(frame)).astype(codes.dtype)
        write_codes(coded, around, new, shown)
        return
    if frame.parity is None:
        _write(frame, box, codes, matte)
        return
    lines = _lines_of_field(box, frame)
    own = slice((frame.parity - box.top) % 2, None, 2)
    first = (box.top + own.start - 2 * lines.top) // 2
    whole, shown = _read(frame, lines), np.zeros((lines.height, lines.width), np.float32)
    inside = slice(first, first + len(codes[own]))
    whole[inside], shown[inside] = codes[own], matte[own]
    _write(frame, lines, whole, shown)


def _write(frame: Frame, box: Box, codes: np.ndarray, matte: np.ndarray) -> None:
    layout = _layout(frame.picture.format.name)
    matte = np.ascontiguousarray(matte, np.float32)
    target = _component(frame, layout, 0)[box.top : box.bottom, box.left : box.right]
    largest = _largest(frame)
    luma, *chroma = cv2.split(codes)
    _blend(target, luma, matte, largest)
    chroma_box = _chroma_box(box, layout)
    rows, columns = slice(chroma_box.top, chroma_box.bottom), slice(chroma_box.left, chroma_box.right)
    if layout.chroma_step_x > 1:
        matte = cv2.resize(_even(matte, layout), (chroma_box.width, chroma_box.height), interpolation=cv2.INTER_AREA)
    for index, new in enumerate(chroma, 1):
        plane = _component(frame, layout, index)
        if layout.chroma_step_x > 1:
            new, old = (_even(values, layout) for values in (new, _upsampled(plane, box, layout)))
            edited = _edited(cv2.compare(new, old, cv2.CMP_NE), layout)
            new = np.where(edited, _averaged(new, layout), plane[rows, columns])
        _blend(plane[rows, columns], new, matte, largest)


def codes_to_rgb(codes: np.ndarray, coding: Coding) -> np.ndarray:
    """Working RGB: (h, w, 3) uint8 from (h, w, 3) native codes. Raises UnsupportedVideo."""
    if _layout(coding.pix_fmt).is_rgb:
        return codes if coding.bit_depth == 8 else np.rint(codes * np.float32(255.0 / coding.full)).astype(np.uint8)
    rgb = cv2.transform(codes, _coding_to_rgb(coding))
    return rgb if coding.bit_depth == 8 else np.minimum(rgb, 255).astype(np.uint8)


def between(ours: Coding, theirs: Coding) -> np.ndarray | None:
    """(3, 4) float32 from codes (a, b, c, 1) of one coding to those of another; None where all are the same.

    For `cv2.transform`. Transfer and primaries are taken for the same. Raises UnsupportedVideo.
    """
    there, back = (np.vstack([_coding_to_rgb(coding), [0, 0, 0, 1]]) for coding in (ours, theirs))
    matrix = np.linalg.solve(back, there)[:3]
    return None if np.allclose(matrix, np.eye(3, 4), atol=1e-4) else matrix.astype(np.float32)


@dataclass(frozen=True)
class Tones:
    """What native codes mean: luma in [0, 1] and two colour differences in [-0.5, 0.5], in the source's own transfer.

    R'G'B' is turned by the weights of BT.709.
    """

    black: float
    luma_span: float
    neutral: float
    chroma_span: float
    is_rgb: bool

    @classmethod
    def of(cls, coding: Coding) -> Tones:
        """Raises UnsupportedVideo."""
        is_rgb, depth = _layout(coding.pix_fmt).is_rgb, coding.bit_depth
        black, luma_span, chroma_span = _spans("pc" if is_rgb else coding.color.range, depth)
        return cls(black, luma_span, float(128 << (depth - 8)), chroma_span, is_rgb)

    def of_codes(self, codes: np.ndarray) -> np.ndarray:
        """(..., 3) codes -> (..., 3) float32 luma, Cb, Cr."""
        values = codes.astype(np.float32)
        if self.is_rgb:
            return (values / np.float32(self.luma_span)) @ _FROM_RGB.T
        return (values - self._zero) / self._span

    def to_codes(self, tones: np.ndarray) -> np.ndarray:
        """The way back; float32, neither rounded nor clipped."""
        if self.is_rgb:
            return (tones @ _TO_RGB.T).astype(np.float32) * np.float32(self.luma_span)
        return (tones * self._span + self._zero).astype(np.float32)

    @property
    def _zero(self) -> np.ndarray:
        return np.array([self.black, self.neutral, self.neutral], np.float32)

    @property
    def _span(self) -> np.ndarray:
        return np.array([self.luma_span, self.chroma_span, self.chroma_span], np.float32)


def _spans(sample_range: str, bit_depth: int) -> tuple[float, float, float]:
    """(code of black, codes from black to white, codes of a colour difference from end to end), H.273."""
    step, full = 1 << (bit_depth - 8), (1 << bit_depth) - 1
    return (0.0, float(full), float(full)) if sample_range == "pc" else (16.0 * step, 219.0 * step, 224.0 * step)


def _unit_to_rgb(matrix: int) -> np.ndarray:
    """(3, 3) from luma, Cb, Cr to R'G'B' of 0-1."""
    red, blue = _LUMA_WEIGHTS.get(matrix, _DEFAULT_LUMA_WEIGHTS)
    green = 1 - red - blue
    return np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )


_TO_RGB = _unit_to_rgb(1)
_FROM_RGB = np.linalg.inv(_TO_RGB).astype(np.float32)


def _coding_to_rgb(coding: Coding) -> np.ndarray:
    """(3, 4) from codes (a, b, c, 1) to R'G'B' of 0-255."""
    if _layout(coding.pix_fmt).is_rgb:
        return np.eye(3, 4) * (255 / coding.full)
    return _yuv_to_rgb(coding.color.matrix, coding.color.range, coding.bit_depth)


@lru_cache(maxsize=32)
def _yuv_to_rgb(matrix: int, sample_range: str, bit_depth: int) -> np.ndarray:
    """(3, 4) float32 from codes (Y, U, V, 1) to R'G'B' of 0-255."""
    step = 1 << (bit_depth - 8)
    black, luma_span, chroma_span = _spans(sample_range, bit_depth)
    scaled = _unit_to_rgb(matrix) * np.array([255 / luma_span, 255 / chroma_span, 255 / chroma_span])
    offset = -scaled @ np.array([black, 128 * step, 128 * step])
    return np.column_stack([scaled, offset]).astype(np.float32)


def _largest(frame: Frame) -> int:
    return (1 << frame.picture.format.components[0].bits) - 1


def _component(frame: Frame, layout: _Layout, index: int) -> np.ndarray:
    """A view (rows, columns) on the frame's own memory; of a field, on its lines."""
    picture = frame.picture
    plane = picture.planes[layout.planes[index]]
    samples = np.frombuffer(plane, layout.dtype)  # type: ignore[call-overload]  # a buffer since Python 3.12
    row = plane.line_size // samples.itemsize
    step, offset = layout.steps[index], layout.offsets[index]
    height = plane.height
    grid = samples[: row * height].reshape(height, row)
    columns = picture.width if index == 0 or layout.is_rgb else -(-picture.width // layout.chroma_step_x)
    return grid[frame.parity :: 1 if frame.parity is None else 2, offset::step][:, :columns]


def _chroma_box(box: Box, layout: _Layout) -> Box:
    """The box on the chroma grid; a half chroma cell at an odd edge of the picture is whole."""
    step_x, step_y = layout.chroma_step_x, layout.chroma_step_y
    return Box(box.left // step_x, box.top // step_y, -(-box.right // step_x), -(-box.bottom // step_y))


def _with_margin(plane: np.ndarray, box: Box) -> np.ndarray:
    """The box and one sample around it, the plane's edge repeated where it ends."""
    height, width = plane.shape
    top, left = max(box.top - 1, 0), max(box.left - 1, 0)
    bottom, right = min(box.bottom + 1, height), min(box.right + 1, width)
    return cv2.copyMakeBorder(
        np.ascontiguousarray(plane[top:bottom, left:right]),
        top - box.top + 1,
        box.bottom + 1 - bottom,
        left - box.left + 1,
        box.right + 1 - right,
        cv2.BORDER_REPLICATE,
    )


def _upsampled(plane: np.ndarray, box: Box, layout: _Layout) -> np.ndarray:
    """Chroma on the luma grid of `box`: (h, w)."""
    wide = _with_margin(plane, _chroma_box(box, layout))
    rows, columns = wide.shape
    if layout.chroma_step_y == 2:
        wide = cv2.resize(wide, (columns, 2 * rows), interpolation=cv2.INTER_LINEAR)[2:-2]
    else:
        wide = wide[1:-1]
    here, following = wide[:, 1:-1], wide[:, 2:]
    full = np.empty((here.shape[0], 2 * here.shape[1]), wide.dtype)
    full[:, ::2] = here
    full[:, 1::2] = cv2.addWeighted(here, 0.5, following, 0.5, 0)
    return full[: box.height, : box.width]


def _even(values: np.ndarray, layout: _Layout) -> np.ndarray:
    """Whole chroma cells: the last row and column repeated where the picture's size is odd."""
    height, width = values.shape
    missing = -height % layout.chroma_step_y, -width % layout.chroma_step_x
    return np.pad(values, ((0, missing[0]), (0, missing[1])), mode="edge") if any(missing) else values


def _averaged(values: np.ndarray, layout: _Layout) -> np.ndarray:
    """Full-grid chroma down to its own grid: (h, w) codes to float32, triangle across columns, mean of rows."""
    if layout.chroma_step_y == 2:
        values = cv2.addWeighted(values[::2], 0.5, values[1::2], 0.5, 0, dtype=cv2.CV_32F)
    return cv2.filter2D(values, cv2.CV_32F, _TRIANGLE, borderType=cv2.BORDER_REPLICATE)[:, ::2]


def _edited(differs: np.ndarray, layout: _Layout) -> np.ndarray:
    """(h, w) uint8 on the luma grid to bool on the chroma grid: does anything that `_averaged` uses differ?

    Else a sample keeps its exact old value; bringing chroma up and averaging it back would blur it a little.
    """
    if layout.chroma_step_y == 2:
        differs = cv2.max(differs[::2], differs[1::2])
    return cv2.dilate(differs, np.ones_like(_TRIANGLE, np.uint8), borderType=cv2.BORDER_REPLICATE)[:, ::2] > 0


def _blend(target: np.ndarray, new: np.ndarray, matte: np.ndarray, largest: int) -> None:
    """In place: target (h, w) of codes becomes the mixture, rounded and within 0 and `largest`."""
    old = target.astype(np.float32)
    mixed = new.astype(np.float32)
    mixed -= old
    mixed *= matte
    mixed += old
    np.rint(mixed, out=mixed)
    np.copyto(target, np.clip(mixed, 0, largest, out=mixed), casting="unsafe")
