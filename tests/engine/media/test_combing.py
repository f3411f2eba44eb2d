"""Fields and squeezed pictures: found where they are, read and written as they are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.media.test_color import FORMATS, noise, planes

from lipsmith.engine.media import color
from lipsmith.engine.media.combing import CombFinder
from lipsmith.engine.media.frame import Box, Frame


def texture(moment: float) -> np.ndarray:
    """(128, 192) codes of waves that move sidewards, 6 pixels a frame, over a part of the picture."""
    y, x = np.indices((128, 192), np.float32)
    moving = 60 * np.sin((x + 6 * moment) / 4 + 2 * np.sin(y / 9))
    return (128 + np.where(x < 64, moving, 60 * np.sin(x / 5 + y / 3))).astype(np.uint8)


def film(*, fields: bool, pix_fmt: str = "gray") -> Iterator[Frame]:
    for index in range(32):
        picture = texture(index)
        if fields:
            picture[1::2] = texture(index + 0.5)[1::2]
        frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=pix_fmt)
        yield Frame(index, index, Fraction(1, 25), frame)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gbrp"])
@pytest.mark.parametrize("fields", [False, True])
def test_two_moments_in_a_picture_are_seen(fields: bool, pix_fmt: str) -> None:
    finder = CombFinder()
    for frame in film(fields=fields, pix_fmt=pix_fmt):
        finder.push(frame)
    assert finder.combed == fields


def test_noise_and_stripes_are_no_fields() -> None:
    finder = CombFinder()
    for seed in range(32):
        finder.push(noise("yuv420p", 192, 128, seed))
    stripes = np.zeros((128, 192), np.uint8)
    stripes[np.indices(stripes.shape)[0] % 4 < 2] = 200
    for index in range(32):
        still = av.VideoFrame.from_ndarray(stripes, format="gray").reformat(format="yuv420p")
        finder.push(Frame(index, index, Fraction(1, 25), still))
    assert not finder.combed


@settings(max_examples=60, deadline=None)
@given(
    pix_fmt=st.sampled_from(FORMATS),
    corner=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    extent=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    parity=st.integers(0, 1),
)
def test_a_field_is_written_into_its_own_lines(
    pix_fmt: str, corner: tuple[int, int], extent: tuple[int, int], parity: int
) -> None:
    frame, width, height = noise(pix_fmt, 60, 64), 60, 64
    left, top = corner
    box = Box(left, top, min(left + extent[0], width), min(top + extent[1], height)).aligned(2, width, height)
    field, before = frame.of_field(parity), planes(frame)
    codes = color.read_codes(field, box)
    assert codes.shape == (box.height, box.width, 3)
    color.write_codes(field, box, codes, np.ones(codes.shape[:2], np.float32))
    assert planes(frame) == before, "unchanged codes are the plate"
    other = color.read_codes(frame.of_field(1 - parity), Box(0, 0, width, height))
    color.write_codes(field, box, codes // 2, np.ones(codes.shape[:2], np.float32))
    assert (color.read_codes(frame.of_field(1 - parity), Box(0, 0, width, height)) == other).all()
    after = color.read_codes(field, box)
    own = slice((parity - box.top) % 2, None, 2)
    assert (after[own, :, 0] == codes[own, :, 0] // 2).all()


@settings(max_examples=60, deadline=None)
@given(
    pix_fmt=st.sampled_from(FORMATS),
    corner=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    extent=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    parity=st.sampled_from([None, 0, 1]),
    stretch=st.sampled_from([64 / 45, 4 / 3, 2.0]),
)
def test_a_squeezed_picture_is_edited_as_it_is_seen(
    pix_fmt: str, corner: tuple[int, int], extent: tuple[int, int], parity: int | None, stretch: float
) -> None:
    frame = replace(noise(pix_fmt, 60, 64), parity=parity, stretch=stretch)
    width, before = round(60 * stretch), planes(frame)
    left, top = corner
    box = Box(left, top, min(left + extent[0], width), min(top + extent[1], 64)).aligned(2, width, 64)
    codes = color.read_codes(frame, box)
    assert codes.shape == (box.height, box.width, 3)
    color.write_codes(frame, box, codes, np.ones(codes.shape[:2], np.float32))
    assert planes(frame) == before, "unchanged codes are the plate"


def test_what_is_painted_into_a_squeezed_picture_lies_where_it_is_seen() -> None:
    y, x = np.indices((64, 128))
    wave = (120 + 60 * np.sin(x / 7) * np.cos(y / 9)).astype(np.uint8)
    coded = cv2.resize(wave, (64, 64), interpolation=cv2.INTER_AREA)
    frame = Frame(0, 0, Fraction(1, 25), av.VideoFrame.from_ndarray(coded, format="gray").reformat(format="yuvj444p"))
    seen = replace(frame, stretch=2.0)
    box = Box(20, 8, 100, 56)
    codes = color.read_codes(seen, box)
    assert np.abs(codes[..., 0].astype(int) - wave[8:56, 20:100]).mean() < 1
    painted = codes.copy()
    painted[10:38, 20:60, 0] = 200
    color.write_codes(seen, box, painted, np.ones(codes.shape[:2], np.float32))
    after = color.luma(frame).astype(int)
    assert np.abs(after[20:44, 22:38] - 200).max() <= 2
    assert np.abs(after[:, :18] - coded[:, :18]).max() == 0 and np.abs(after[:, 44:] - coded[:, 44:]).max() <= 1


@pytest.mark.parametrize("parity", [0, 1])
def test_lines_between_a_fields_own_lie_between_them(parity: int) -> None:
    slope = np.repeat(np.arange(0, 128, 2, dtype=np.uint8)[:, None] + 50, 8, 1)[..., None].repeat(3, 2)
    whole = np.repeat(np.arange(128, dtype=np.uint8)[:, None] + 50, 8, 1)
    doubled = color.with_lines_between(slope + np.uint8(parity), parity)
    assert (doubled[4:-4, :, 0] == whole[4:-4]).all()
