"""The source's pictures plan ours: their kinds hold together, and its octets are met whatever it is made of."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.matrix import edited
from tests.synthetic import Look, movie

from lipsmith.engine.media import decode, gops, mux, passlog
from lipsmith.engine.media import quantiser as quantisers
from lipsmith.engine.media.firstpass import MOST_BETWEEN, FirstPass, picture_types
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.splice import SplicePlan

FRAMES = 90
PICTURES = st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=60)  # keyframe, intra, between


@given(PICTURES, st.integers(0, 3))
def test_every_picture_has_something_to_lean_on(pictures: list[tuple[bool, bool, bool]], reorder: int) -> None:
    types = picture_types(*(list(told) for told in zip(*pictures, strict=True)), reorder)
    assert len(types) == len(pictures)
    assert types[0] == "I"
    assert [letter == "I" for letter in types[1:]] == [keyframe for keyframe, _, _ in pictures[1:]]
    assert types[-1] not in "Bb"
    assert not any(pair[0] in "Bb" and pair[1] == "I" for pair in zip(types, types[1:], strict=False))
    between = "".join(letter if letter in "Bb" else " " for letter in types).split()
    assert all(len(some) <= (MOST_BETWEEN if reorder else 0) for some in between)
    assert all(some.count("B") == (reorder > 1 and len(some) > 1) for some in between)
    assert all(told[2] for told, letter in zip(pictures, types, strict=True) if letter in "Bb")


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_one_that_others_lean_on_is_decoded_before_those_shown_before_it(encoder: str) -> None:
    types = "IbBbPPbPI"
    count = len(types)
    with passlog.stored(_told(types), encoder, Fraction(25), 2) as path:
        head, *lines = path.read_text().splitlines()
    assert not path.exists()
    assert "160x96" in head
    words = [dict(word.split(":", 1) for word in line.rstrip(";").split()) for line in lines]
    assert [int(word["in"]) for word in words] == [0, 4, 2, 1, 3, 5, 7, 6, 8]
    assert [int(word["out"]) for word in words] == list(range(count))
    assert all(sum(int(word[part]) for part in ("tex", "mv", "misc")) == 8 * 500 for word in words)


def _told(types: str, quantiser: float = 20.0, bit_depth: int = 8, codec: str = "h264") -> FirstPass:
    quantisers, octets, ticks = np.full(len(types), quantiser), np.full(len(types), 500), np.ones(len(types), int)
    return FirstPass(types, quantisers, octets, ticks, Fraction(1, 25), 160, 96, bit_depth, codec, 500.0)


@pytest.mark.parametrize(("quantiser", "bit_depth", "finest"), [(30, 8, 16), (14, 8, 11), (40, 10, 28), (2, 8, 0)])
def test_bits_are_not_spent_on_what_nobody_sees(quantiser: float, bit_depth: int, finest: int) -> None:
    assert _told("IP", quantiser, bit_depth).finest == finest


def test_the_scale_of_hevc_does_not_grow_with_the_depth() -> None:
    assert _told("IP", 28, 10, "hevc").finest == 16


QUIET = {"x265-params": "log-level=error"}
SAME_FOR_ALL = "aq-mode=0:cutree=0"
UNEVEN = [512 * at + 200 * (at % 3) for at in range(FRAMES)]
LOOKS = {
    "of 8 bits": Look(frames=FRAMES, options={"g": "40"}),
    "of 10 bits": Look(frames=FRAMES, options={"g": "40"}, pix_fmt="yuv422p10le"),
    "at uneven times": Look(frames=FRAMES, options={"g": "40"}, pts=UNEVEN),
    "all keyframes": Look(frames=FRAMES, options={"x264-params": "keyint=1"}, bit_rate=1_500_000),
    "without B-frames": Look(frames=FRAMES, options={"profile": "baseline"}),
    "many B-frames": Look(frames=FRAMES, options={"bf": "12", "x264-params": "b-adapt=0:b-pyramid=none"}),
    "open groups": Look(frames=FRAMES, options={"g": "20", "x264-params": "open-gop=1"}),
    "interlaced": Look(frames=FRAMES, options={"x264-params": "tff=1"}),
    "quantised by one": Look(frames=FRAMES, bit_rate=0, options={"qp": "30"}),
    "HEVC": Look("libx265", frames=FRAMES, options={"x265-params": "log-level=error:keyint=40"}),
    "HEVC, the same quantiser": Look(
        "libx265", frames=FRAMES, options={"x265-params": f"log-level=error:{SAME_FOR_ALL}"}
    ),
    "HEVC of 10 bits": Look("libx265", frames=FRAMES, options=QUIET, pix_fmt="yuv422p10le"),
    "HEVC at uneven times": Look("libx265", frames=FRAMES, options=QUIET, pts=UNEVEN),
    "HEVC without B-frames": Look("libx265", frames=FRAMES, options={"x265-params": "log-level=error:bframes=0"}),
    "HEVC, all keyframes": Look(
        "libx265", frames=FRAMES, bit_rate=0, options={"crf": "28", "x265-params": "log-level=error:keyint=1:info=0"}
    ),
    "HEVC, open groups": Look(
        "libx265", frames=FRAMES, options={"x265-params": "log-level=error:keyint=20:open-gop=1"}
    ),
    "one picture": Look(width=960, height=544, frames=1, bit_rate=8_000_000),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_the_octets_are_met(look: Look, tmp_path: Path) -> None:
    spec = probe(movie(tmp_path / "shot.mp4", look, ()))
    stamps = gops.read(spec).stamps
    out = tmp_path / "out.mp4"
    plan = mux.plan_splice(spec, out, stamps, np.arange(len(stamps)))
    assert isinstance(plan, SplicePlan)
    mux.rewrite(spec, out, edited(decode.frames(spec, plan.excerpt), range(0)), None, splice=plan)
    ours = probe(out)
    bits = require_video(ours).bit_rate_from_content / require_video(spec).bit_rate_from_content
    assert 0.8 < bits < 1.2
    theirs, made = (quantisers.read(one, gops.read(one), range(look.frames)) for one in (spec, ours))
    assert len(made) == len(theirs) == look.frames
    assert {one.pts for one in theirs if one.intra} == {one.pts for one in made if one.intra}
