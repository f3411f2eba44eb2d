"""New pixels that are looked at come out finer than others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.synthetic import Look, movie

from lipsmith.engine.media import color, decode, gops, mux
from lipsmith.engine.media.focus import Focus
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.probe import probe
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.media.splice import SplicePlan, Whole

FRAMES = 40
ROOT = Path(__file__).parents[3]
LOOKED_AT, BESIDE = Box(32, 32, 64, 64), Box(96, 32, 128, 64)
SHAPES = {
    "h264": Look(frames=FRAMES, bit_rate=700_000),
    "h264 10 bit": Look(pix_fmt="yuv420p10le", frames=FRAMES, bit_rate=700_000),
    "hevc": Look("libx265", frames=FRAMES, bit_rate=700_000, options={"x265-params": "log-level=error"}),
    "vp9": Look("libvpx-vp9", frames=FRAMES, bit_rate=700_000, options={"deadline": "realtime", "cpu-used": "6"}),
}


def suffix_of(shape: str) -> str:
    return ".webm" if shape == "vp9" else ".mp4"


def noisy(frames: Iterable[Frame], focus: tuple[Box, ...] = ()) -> Iterator[Frame]:
    """The same grain, new in every frame, in two places."""
    for frame in frames:
        grain = np.random.default_rng(frame.index).normal(0, 12, (32, 32))
        for box in (LOOKED_AT, BESIDE):
            codes = color.read_codes(frame, box)
            full = np.iinfo(codes.dtype).max if codes.dtype == np.uint8 else 1023
            codes[..., 0] = np.clip(codes[..., 0] + grain * (full / 255), 0, full).astype(codes.dtype)
            color.write_codes(frame, box, codes, np.ones((32, 32), np.float32))
        yield replace(frame, focus=focus)


def lost(spec: MediaSpec, out: Path, box: Box) -> float:
    """Mean square error of luma there."""
    pairs = zip(noisy(decode.frames(spec)), decode.frames(probe(out)), strict=True)
    errors = [(color.read_codes(a, box)[..., 0].astype(float) - color.read_codes(b, box)[..., 0]) for a, b in pairs]
    return float(np.mean(np.square(errors)))


@pytest.mark.parametrize("cut", [True, False], ids=["in runs", "whole"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_focus_is_finer(shape: str, cut: bool, tmp_path: Path) -> None:
    suffix = suffix_of(shape)
    spec = probe(movie(tmp_path / f"shot{suffix}", SHAPES[shape], ()))
    ratios = []
    for number, focus in enumerate([(), (LOOKED_AT,)]):
        out = tmp_path / f"{number}{suffix}"
        stamps = gops.read(spec).stamps
        plan = mux.plan_splice(spec, out, stamps, np.arange(len(stamps))) if cut else Whole("for a test")
        assert isinstance(plan, SplicePlan) == cut
        mux.rewrite(spec, out, noisy(decode.frames(spec), focus), None, splice=plan)
        ratios.append(lost(spec, out, LOOKED_AT) / lost(spec, out, BESIDE))
    assert ratios[1] < 0.75 * ratios[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_may_begin_and_cease_to_be_looked_at(shape: str, tmp_path: Path) -> None:
    """In a process of its own: x265 would take this one with it."""
    suffix = suffix_of(shape)
    shot, out = tmp_path / f"shot{suffix}", tmp_path / f"out{suffix}"
    movie(shot, replace(SHAPES[shape], frames=3 * FRAMES), ())
    run = f"from {__name__} import in_the_middle; import sys; in_the_middle(*sys.argv[1:])"
    command = [sys.executable, "-c", run, str(shot), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum(1 for _ in decode.frames(probe(out))) == 3 * FRAMES


def in_the_middle(shot: str, out: str) -> None:
    spec = probe(Path(shot))
    stamps = gops.read(spec).stamps
    plan = mux.plan_splice(spec, Path(out), stamps, np.arange(len(stamps)))
    frames = (
        replace(frame, focus=(LOOKED_AT,) if FRAMES < frame.index < 2 * FRAMES else ())
        for frame in noisy(decode.frames(spec))
    )
    mux.rewrite(spec, Path(out), frames, None, splice=plan)


def test_samples_and_time_are_the_frames_own(tmp_path: Path) -> None:
    spec = probe(movie(tmp_path / "shot.mp4", SHAPES["h264"], ()))
    finer = Focus("libx264")
    for frame in decode.frames(spec):
        told = finer.marked(replace(frame, focus=(LOOKED_AT, BESIDE)))
        assert told is not frame.picture
        assert (told.pts, told.time_base, told.duration) == (frame.pts, frame.time_base, frame.picture.duration)
        assert np.array_equal(told.to_ndarray(), frame.picture.to_ndarray())
        assert finer.marked(frame) is frame.picture
        assert Focus("prores_ks").marked(replace(frame, focus=(LOOKED_AT,))) is frame.picture


def test_a_mouth_that_wanders_is_followed_by_the_block(tmp_path: Path) -> None:
    """More places than graphs are kept, and back again."""
    spec = probe(movie(tmp_path / "shot.mp4", SHAPES["h264"], ()))
    finer, (frame, *_) = Focus("libx264"), decode.frames(spec)
    places = [*range(0, 96, 3), 0]
    told = [finer.marked(replace(frame, focus=(Box(left, 5, left + 20, 30),))) for left in places]
    regions = [tuple(data.type.name for data in picture.side_data) for picture in told]
    assert all("REGIONS_OF_INTEREST" in names for names in regions)
    blocks = {bytes(picture.side_data["REGIONS_OF_INTEREST"]) for picture in told}
    assert len(blocks) == len({(left // 16, (left + 35) // 16) for left in places})
