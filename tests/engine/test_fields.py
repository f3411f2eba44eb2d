"""A film of fields: a mouth is painted into each, for its own time and place."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from lipsmith.engine import dub, footage
from lipsmith.engine.faces.track import Nets
from lipsmith.engine.media import color, decode
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.probe import probe
from lipsmith.engine.progress import silent
from lipsmith.engine.rehearsal import DubOptions, VoiceFor
from lipsmith.weights import WeightStore

COUNT = 50


@pytest.fixture(scope="module")
def film(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a child, twice as fast: of each two pictures one gives the even lines, one the odd."""
    path = tmp_path_factory.mktemp("fields") / "fields.mkv"
    filmed = decode.frames(probe(clips / "video/child_green_512_9s.mp4"))
    pictures = [decode.rgb(frame) for frame in islice(filmed, 2 * COUNT)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv422p"
        for first, second in zip(pictures[::2], pictures[1::2], strict=True):
            woven = first.copy()
            woven[1::2] = second[1::2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format="yuv422p")))
        container.mux(stream.encode(None))
    return path


def teeth(lines: np.ndarray) -> float:
    """Share of lines that stand out from both beside them."""
    above, here, below = lines[:-2], lines[1:-1], lines[2:]
    out = np.minimum(abs(here - above), abs(here - below)) * (np.sign(here - above) == np.sign(here - below))
    return float((out > 8).mean())


def around_mouth(seen: footage.Footage, frame: Frame) -> np.ndarray:
    """(h, w) luma of a square of half a face width."""
    measured = seen.main.measured
    row = int(np.searchsorted(measured.indices, frame.index))
    x, y = measured.in_picture(13)[row, 0].astype(int)
    half = int(measured.placement.scale[row]) // 4
    return color.luma(frame)[(y - half) // 2 * 2 : y + half, x - half : x + half].astype(int)


def test_each_field_gets_a_mouth_of_its_own(film: Path, clips: Path, store: WeightStore, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    seen = footage.look(film, store=store, nets=Nets(store, cpu), device=cpu, threads=2, progress=silent)
    assert seen.combed
    out = tmp_path / "out.mkv"
    told = dub.dub(film, out, DubOptions((VoiceFor(clips / "audio/es_dreamtalk1.wav"),)), store=store)
    assert told.frames_dubbed == COUNT
    before, after = ([around_mouth(seen, f) for f in decode.frames(probe(path))] for path in (film, out))
    assert np.mean([abs(a - b).mean() for a, b in zip(before, after, strict=True)]) > 3, "it has another mouth"
    in_one = [np.mean([teeth(lines[::2]) for lines in film]) for film in (before, after)]
    in_both = [np.mean([teeth(lines) for lines in film]) for film in (before, after)]
    assert in_one[1] < 1.5 * in_one[0], "a mouth of two moments would stand in one field as teeth: 3 times as many"
    assert 0.6 < in_both[1] / in_both[0] < 1.4, "and between fields it moves as the face does"


def test_a_progressive_film_is_painted_whole(seen: footage.Footage) -> None:
    assert not seen.combed
