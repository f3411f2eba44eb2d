"""What has no second pass keeps to the source's bits all the same, and packets are made as decoders read them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from tests.matrix import edited
from tests.synthetic import Look, movie

from lipsmith.engine.media import decode, gops, mux
from lipsmith.engine.media.coded import packet_of
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.splice import Whole

FINE = {"qmin": "1", "lmin": "1", "mblmin": "1", "bf": "0"}
COARSE = {"bf": "0"}
LOOKS = {
    "fine.avi": Look("mpeg4", time_base=Fraction(1, 25), frames=150, bit_rate=1_500_000, options=FINE),
    "fine.mpg": Look("mpeg1video", time_base=Fraction(1, 25), frames=150, bit_rate=1_500_000, options=FINE),
    "coarse.mp4": Look("mpeg4", frames=150, bit_rate=150_000, options=COARSE),
    "fine.flv": Look("flv", frames=150, bit_rate=1_500_000, options=FINE),
}


@pytest.mark.parametrize("name", LOOKS)
def test_the_mpeg_family_keeps_to_the_bits(name: str, tmp_path: Path) -> None:
    spec = probe(movie(tmp_path / name, LOOKS[name], ()))
    stamps = np.array([frame.pts for frame in decode.frames(spec)])
    out = tmp_path / f"out{Path(name).suffix}"
    plan = mux.plan_splice(spec, out, stamps, np.arange(len(stamps)))
    assert isinstance(plan, Whole)
    mux.rewrite(spec, out, edited(decode.frames(spec), range(0)), None, splice=plan)
    bits = require_video(probe(out)).bit_rate_from_content / require_video(spec).bit_rate_from_content
    assert 0.85 < bits < 1.2


def test_a_packet_decodes_as_it_does_in_its_file(tmp_path: Path) -> None:
    """Without zeros behind it MPEG-4 reads on into whatever stands there."""
    path = movie(tmp_path / "shot.avi", LOOKS["coarse.mp4"], ())
    with av.open(str(path)) as container:
        own = container.streams.video[0].codec_context
        context = av.CodecContext.create("mpeg4", "r")
        assert isinstance(context, VideoCodecContext)
        context.extradata, context.width, context.height = own.extradata, own.width, own.height
        alone = [
            picture
            for packet in container.demux(video=0)
            if packet.size
            for picture in context.decode(packet_of(bytes(packet)))
        ]
    alone += context.decode(None)
    in_file = [frame.picture for frame in decode.frames(probe(path))]
    assert len(alone) == len(in_file) == len(gops.read(probe(path)).octets)
    for one, other in zip(alone, in_file, strict=True):
        assert np.array_equal(one.to_ndarray(), other.to_ndarray())
