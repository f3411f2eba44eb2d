"""Units of bitstreams: framing there and back, ids read and changed."""

from __future__ import annotations

import av
import pytest

from lipsmith.engine.media import nal
from lipsmith.engine.media.coded import packet_of

UNITS = [b"\x67\x64\x00\x0a\x99", b"\x68\xee\x01", b"\x65" + bytes(range(1, 200))]


@pytest.mark.parametrize("prefix", [0, 2, 4])
def test_framing_there_and_back(prefix: int) -> None:
    assert nal.split(nal.join(UNITS, prefix), prefix) == UNITS


def test_a_length_that_passes_the_end_ends_the_list() -> None:
    assert nal.split(nal.join(UNITS, 4)[:-1], 4) == UNITS[:-1]


def x265() -> av.VideoCodecContext:
    context = av.CodecContext.create("libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 64, 64, "yuv420p"
    context.options = {"x265-params": "log-level=error:bframes=0"}
    context.flags |= 1 << 22  # global header
    context.open()
    return context


def test_x265s_ids_are_changed_and_the_pictures_stay() -> None:
    """Decoded with the renamed parameter sets, renamed slices give the same pictures."""
    context = x265()
    frames = []
    for number in range(8):
        frame = av.VideoFrame(64, 64, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes((7 * number + i * (i >> 5)) % 256 for i in range(plane.buffer_size)))
        frame.pts = number
        frames.append(frame)
    packets = [p for frame in [*frames, None] for p in context.encode(frame)]
    headers = nal.split(context.extradata or b"", 0)
    parameters = [unit for unit in headers if nal.is_parameter(unit, "hevc")]
    renamed = [nal.renamed(unit) for unit in parameters]
    assert nal.free_id(nal.join(parameters, 0), "hevc") == nal.OUR_ID
    assert nal.free_id(nal.join(renamed, 0), "hevc") is None
    plain = decoded(nal.join(parameters, 0), [bytes(p) for p in packets])
    ours = decoded(
        nal.join(renamed, 0),
        [nal.join([nal.renamed(unit) for unit in nal.split(bytes(p), 0)], 0) for p in packets],
    )
    assert len(plain) == len(frames) and ours == plain


@pytest.mark.parametrize(
    ("codec", "cut", "free"), [("h264", b"\x68", 1), ("h264", b"\x67\x64", 1), ("hevc", b"\x44\x01", 15)]
)
def test_a_parameter_set_that_ends_before_its_id_takes_none(codec: str, cut: bytes, free: int) -> None:
    assert nal.free_id(nal.join([cut], 0), codec) == free


def decoded(headers: bytes, packets: list[bytes]) -> list[bytes]:
    context = av.CodecContext.create("hevc", "r")
    assert isinstance(context, av.VideoCodecContext)
    pictures = [frame for data in packets for frame in context.decode(packet_of(headers + data))]
    pictures += context.decode(None)
    return [picture.to_ndarray().tobytes() for picture in pictures]
