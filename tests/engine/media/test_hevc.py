"""Headers of HEVC pictures are read whatever their encoder switched on, and damaged ones are passed over."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from hypothesis import given
from hypothesis import strategies as st

from lipsmith.engine.media import nal
from lipsmith.engine.media.bits import Bits
from lipsmith.engine.media.coded import packet_of
from lipsmith.engine.media.hevc import Header, Headers

FRAMES, QUANTISER = 40, 31
SETTINGS = [
    "keyint=10:open-gop=1",
    "bframes=8:b-pyramid=1:ref=5",
    "weightp=1:weightb=1",
    "scaling-list=default:slices=2",
    "sao=0:temporal-mvp=0:constrained-intra=1",
    "temporal-layers=3",
    "opt-qp-pps=1:opt-ref-list-length-pps=1:multi-pass-opt-rps=1",
    "interlace=tff",
    "cbqpoffs=3:crqpoffs=-3:deblock=2,2",
    "repeat-headers=1:aud=1:hrd=1:vbv-maxrate=900:vbv-bufsize=900",
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_all_that_stands_before_the_quantiser_is_read(settings: str, pix_fmt: str) -> None:
    extradata, packets = _stream(settings, pix_fmt)
    headers = Headers(nal.parameters(extradata, "hevc"))
    found = {pts: headers.read(nal.split(data, 0)) for pts, data in packets}
    assert len(found) == FRAMES
    assert {one.quantiser for one in found.values() if one is not None} == {QUANTISER}
    assert {pts for pts, one in found.items() if one is None or one.intra} == _intra(extradata, packets)


def test_whether_blocks_may_differ_is_told() -> None:
    for settings, varies in (("aq-mode=0:cutree=0", False), ("qp=0:crf=30:aq-mode=2", True)):
        extradata, packets = _stream(settings, "yuv420p")
        headers = Headers(nal.parameters(extradata, "hevc"))
        found = [headers.read(nal.split(data, 0)) for _, data in packets]
        assert [one is not None and one.varies for one in found] == [varies] * FRAMES


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_damage_is_passed_over(seed: int, count: int) -> None:
    extradata, packets = _stream(SETTINGS[2], "yuv420p")
    chance = random.Random(seed)
    parameters = [_damaged(unit, chance, count) for unit in nal.parameters(extradata, "hevc")]
    headers = Headers(parameters)
    for _, data in packets[:4]:
        read = headers.read([_damaged(unit, chance, count) for unit in nal.split(data, 0)])
        assert read is None or isinstance(read, Header)


@given(st.lists(st.integers(0, 10_000), max_size=20))
def test_numbers_are_read_as_they_were_written(numbers: list[int]) -> None:
    written = "".join(_exp_golomb(number) for number in numbers) + "1"
    bits = Bits(int(written.ljust(-(-len(written) // 8) * 8, "0"), 2).to_bytes(-(-len(written) // 8), "big"))
    assert [bits.ue() for _ in numbers] == numbers
    assert bits.flag()


def test_behind_the_end_there_is_nothing() -> None:
    for read in (lambda bits: bits.u(9), lambda bits: bits.ue(), lambda bits: bits.se()):
        with pytest.raises(IndexError):
            read(Bits(b"\0"))


def _exp_golomb(number: int) -> str:
    word = f"{number + 1:b}"
    return "0" * (len(word) - 1) + word


def _damaged(unit: bytes, chance: random.Random, count: int) -> bytes:
    octets = bytearray(unit)
    for _ in range(count):
        octets[chance.randrange(min(len(octets), 60))] = chance.randrange(256)
    return bytes(octets[: chance.randrange(1, len(octets) + 1)]) if chance.random() < 0.3 else bytes(octets)


@cache
def _stream(settings: str, pix_fmt: str) -> tuple[bytes, list[tuple[int, bytes]]]:
    """A scene that moves and fades, at one quantiser for all its pictures."""
    context = av.CodecContext.create("libx265", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = 160, 96, pix_fmt
    context.framerate, context.time_base, context.thread_count = Fraction(25), Fraction(1, 25), 2
    context.flags |= Flags.global_header
    same = f"qp={QUANTISER}:ipratio=1:pbratio=1"
    context.options = {"preset": "medium", "x265-params": f"log-level=error:{same}:{settings}"}
    scene = np.random.default_rng(0).integers(0, 255, (24, 40, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    packets = []
    for number in range(FRAMES):
        light = np.roll(scene, (number * 3, number * 2), (0, 1)) * (0.3 + 0.7 * abs(np.sin(number / 9)))
        picture = av.VideoFrame.from_ndarray(light.astype(np.uint8), "rgb24").reformat(format=pix_fmt)
        picture.pts, picture.time_base = number, context.time_base
        packets += context.encode(picture)
    packets += context.encode(None)
    return context.extradata or b"", [(packet.pts or 0, bytes(packet)) for packet in packets]


def _intra(extradata: bytes, packets: list[tuple[int, bytes]]) -> set[int]:
    """As the decoder says."""
    context = av.CodecContext.create("hevc", "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = extradata
    pictures = []
    for pts, data in packets:
        packet = packet_of(data)
        packet.pts = pts
        pictures += context.decode(packet)
    pictures += context.decode(None)
    return {picture.pts or 0 for picture in pictures if picture.pict_type == av.video.frame.PictureType.I}
