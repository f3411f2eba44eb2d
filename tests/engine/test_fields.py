"""Films whose pictures are not what is seen: of two fields each, of squeezed columns."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
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
def pictures(clips: Path) -> list[np.ndarray]:
    """Four seconds of a child."""
    filmed = decode.frames(probe(clips / "video/child_green_512_9s.mp4"))
    return [decode.rgb(frame) for frame in islice(filmed, 2 * COUNT)]


def write(path: Path, pictures: Sequence[np.ndarray], sample_aspect: Fraction = Fraction(1)) -> Path:
    """Silent; lossless but in MP4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if path.suffix == ".mp4" else "ffv1", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.codec_context.sample_aspect_ratio = "yuv422p", sample_aspect
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv422p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def film(pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twice as fast: of each two pictures one gives the even lines, one the odd."""
    woven = np.array(pictures[::2])
    woven[:, 1::2] = np.array(pictures[1::2])[:, 1::2]
    return write(tmp_path_factory.mktemp("fields") / "fields.mkv", list(woven))


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


def test_a_squeezed_face_is_seen_as_it_is_shown(
    pictures: list[np.ndarray], clips: Path, store: WeightStore, tmp_path: Path
) -> None:
    """Anamorphic pixels, two to one: what the nets see is a face, and what is painted is where his mouth is coded."""
    squeezed = [cv2.resize(p, (256, 512), interpolation=cv2.INTER_AREA) for p in pictures[:COUNT]]
    film, out = write(tmp_path / "film.mp4", squeezed, Fraction(2)), tmp_path / "out.mp4"
    told = dub.dub(film, out, DubOptions((VoiceFor(clips / "audio/es_dreamtalk1.wav"),)), store=store)
    assert told.frames_dubbed == COUNT
    pairs = zip(decode.frames(probe(film)), decode.frames(probe(out)), strict=True)
    changed = np.mean([np.abs(color.luma(a).astype(int) - color.luma(b)) > 20 for a, b in pairs], 0)
    y, x = np.indices(changed.shape)
    assert changed.shape == (512, 256)
    middle = (changed * x).sum() / changed.sum(), (changed * y).sum() / changed.sum()
    assert 110 < middle[0] < 150 and 330 < middle[1] < 420, "the mouth of this clip"
    assert max(part.mean() for part in (changed[:250], changed[:, :40], changed[:, -40:])) < 1e-3 < changed.mean()


def test_a_progressive_film_is_painted_whole(seen: footage.Footage) -> None:
    assert not seen.combed
