"""Samples out and in: what is not edited stays as it was, to the bit."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.spec import Coding, ColorSpec
from lipsmith.errors import UnsupportedVideo

FORMATS = (
    "yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv420p12le", "yuv444p10le",
    "nv12", "gbrp", "gbrp10le", "rgb24",
)  # fmt: skip


def noise(pix_fmt: str, width: int, height: int, seed: int = 0) -> Frame:
    picture = av.VideoFrame(width, height, pix_fmt)
    bits = picture.format.components[0].bits
    rng = np.random.default_rng(seed)
    for plane in picture.planes:
        samples = np.frombuffer(plane, np.uint8 if bits == 8 else np.uint16)
        samples[:] = rng.integers(0, 1 << bits, samples.shape)
    return Frame(0, 0, Fraction(1, 25), picture)


def planes(frame: Frame) -> list[bytes]:
    return [bytes(plane) for plane in frame.picture.planes]


@settings(max_examples=60, deadline=None)
@given(
    pix_fmt=st.sampled_from(FORMATS),
    size=st.tuples(st.integers(16, 70), st.integers(16, 70)),
    corner=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    extent=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    seed=st.integers(0, 99),
)
def test_what_is_not_edited_stays(
    pix_fmt: str, size: tuple[int, int], corner: tuple[int, int], extent: tuple[int, int], seed: int
) -> None:
    frame = noise(pix_fmt, *size, seed)
    left, top = corner
    box = Box(left, top, min(left + extent[0], size[0]), min(top + extent[1], size[1])).aligned(2, *size)
    before = planes(frame)
    codes = color.read_codes(frame, box)
    assert codes.shape == (box.height, box.width, 3)
    color.write_codes(frame, box, np.zeros_like(codes), np.zeros(codes.shape[:2], np.float32))
    assert planes(frame) == before, "an empty matte is the plate"
    color.write_codes(frame, box, codes, np.ones(codes.shape[:2], np.float32))
    assert planes(frame) == before, "unchanged codes are the plate"


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_flat_edit_arrives_and_stays_inside(pix_fmt: str) -> None:
    frame = noise(pix_fmt, 64, 48)
    whole = Box(0, 0, 64, 48)
    before = color.read_codes(frame, whole)
    box = Box(16, 8, 40, 32)
    value = 120 if before.dtype == np.uint8 else 500
    color.write_codes(frame, box, np.full((24, 24, 3), value, before.dtype), np.ones((24, 24), np.float32))
    after = color.read_codes(frame, whole)
    assert (after[10:30, 18:38] == value).all()
    outside = np.ones((48, 64), bool)
    outside[6:34, 14:42] = False  # upsampled chroma reaches one cell out
    assert (after[outside] == before[outside]).all()
    assert (after[..., 0][:, :16] == before[..., 0][:, :16]).all()


def test_half_a_matte_is_the_mean() -> None:
    frame = noise("yuv444p", 32, 32)
    box = Box(0, 0, 32, 32)
    old = color.read_codes(frame, box).astype(float)
    color.write_codes(frame, box, np.full((32, 32, 3), 100, np.uint8), np.full((32, 32), 0.5, np.float32))
    assert np.abs(color.read_codes(frame, box) - (old + 100) / 2).max() <= 0.5


@pytest.mark.parametrize(("matrix", "name"), [(1, "ITU709"), (6, "ITU601"), (9, "BT2020")])
@pytest.mark.parametrize("sample_range", ["tv", "pc"])
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv444p10le"])
def test_rgb_agrees_with_swscale(matrix: int, name: str, sample_range: str, pix_fmt: str) -> None:
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = np.mgrid[0:256:4, 0:256:4]
    rgb[..., 2] = 90
    span = {"tv": "MPEG", "pc": "JPEG"}[sample_range]
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format=pix_fmt, dst_colorspace=name, dst_color_range=span
    )
    codes = color.read_codes(Frame(0, 0, Fraction(1, 25), picture), Box(0, 0, 64, 64))
    back = color.codes_to_rgb(
        codes, Coding(pix_fmt, picture.format.components[0].bits, ColorSpec(matrix, 2, 2, sample_range))
    )
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - rgb).mean() < 1.5


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UnsupportedVideo):
        color.read_codes(noise("yuv410p", 32, 32), Box(0, 0, 16, 16))


@pytest.mark.parametrize("theirs", ["yuv444p", "yuv444p10le", "gbrp", "gbrp10le"])
@pytest.mark.parametrize("ours", ["yuv444p", "yuv444p10le", "gbrp"])
@pytest.mark.parametrize("matrices", [(1, 1), (1, 6), (9, 2)])
@pytest.mark.parametrize("ranges", [("tv", "tv"), ("tv", "pc"), ("pc", "tv")])
def test_from_codes_to_codes_colours_stay(
    ours: str, theirs: str, matrices: tuple[int, int], ranges: tuple[str, str]
) -> None:
    here, there = (
        Coding(name, 10 if "10" in name else 8, ColorSpec(matrix, 2, 2, "pc" if name[0] == "g" else sample_range))
        for name, matrix, sample_range in zip((ours, theirs), matrices, ranges, strict=True)
    )
    skin = np.array([[[150, 110, 150]]], np.float32) if ours[0] == "y" else np.array([[[190, 140, 120]]], np.float32)
    codes = skin * (here.full / 255)
    matrix = color.between(here, there)
    moved = codes if matrix is None else cv2.transform(codes, matrix)
    depth = np.uint16 if there.bit_depth > 8 else np.uint8
    before = color.codes_to_rgb(codes.astype(np.uint16 if here.bit_depth > 8 else np.uint8), here).astype(int)
    after = color.codes_to_rgb(np.rint(moved).astype(depth), there).astype(int)
    assert np.abs(before - after).max() <= 2


def test_the_same_coding_is_left_alone() -> None:
    said, unsaid = (Coding("yuv420p", 8, ColorSpec(matrix, 2, 2, "tv")) for matrix in (6, 2))
    assert color.between(said, said) is None and color.between(said, unsaid) is None
    assert color.between(said, Coding("yuvj420p", 8, ColorSpec(6, 2, 2, "pc"))) is not None
